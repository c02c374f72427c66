"use strict";

function figures(value) {
  const size = Math.abs(value);
  return value === 0 || (size >= 1e-3 && size < 1e5) ? String(+value.toPrecision(4)) : value.toExponential(2);
}

// The values under the pointer take the place of the last ones.
function watch(chart) {
  const numbers = (name) => chart.dataset[name].split(" ").map(Number);
  const [left, right, top, bottom] = numbers("plot"), [x0, x1] = numbers("x");
  const logarithmic = chart.dataset.log === "1";
  const [y0, y1] = numbers("y").map((y) => (logarithmic ? Math.log10(y) : y));
  const cursor = chart.querySelector(".cursor");
  const shown = chart.parentElement.querySelector(".values"), last = shown.innerHTML;
  const lines = [...chart.querySelectorAll("polyline.line")].map((line) => ({
    colour: [...line.classList].at(-1),
    points: [...line.points].map((point) => [point.x, point.y]),
  }));

  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const found = lines.map(({ colour, points }) => ({
      colour,
      point: points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a)),
    }));
    const x = found[0].point[0];
    const images = Math.round(x0 + ((x - left) / (right - left)) * (x1 - x0));
    shown.replaceChildren(`at about ${images.toLocaleString("en")}: `);
    for (const { colour, point } of found) {
      const y = y0 + ((bottom - point[1]) / (bottom - top)) * (y1 - y0);
      const span = document.createElement("span");
      span.className = colour;
      span.textContent = figures(logarithmic ? 10 ** y : y);
      shown.append(span);
    }
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.style.visibility = "visible";
  });
  chart.addEventListener("pointerleave", () => {
    shown.innerHTML = last;
    cursor.style.visibility = "hidden";
  });
}

// A strip of grids gets a large view of one of them, and a slider that scrubs through them.
function scrub(strip) {
  const figures = [...strip.querySelectorAll("figure")];
  const viewer = document.createElement("div"), label = document.createElement("label");
  const slider = document.createElement("input"), output = document.createElement("output");
  const picture = document.createElement("img");
  viewer.className = "viewer";
  Object.assign(slider, { type: "range", min: 0, max: figures.length - 1, ariaLabel: "images" });
  label.append(slider, output);
  viewer.append(label, picture);
  const show = (number) => {
    const chosen = figures[number], small = chosen.querySelector("img");
    for (const name of ["src", "alt", "width", "height"]) picture[name] = small[name];
    output.textContent = chosen.querySelector("figcaption").textContent;
    figures.forEach((figure) => figure.classList.toggle("chosen", figure === chosen));
    slider.value = number;
    strip.scrollLeft = chosen.offsetLeft - strip.offsetLeft - strip.clientWidth / 2;
  };
  slider.addEventListener("input", () => show(+slider.value));
  figures.forEach((figure, number) =>
    figure.addEventListener("click", (event) => {
      event.stopPropagation();
      show(number);
    }),
  );
  strip.before(viewer);
  show(figures.length - 1);
}

document.querySelectorAll("svg.chart").forEach(watch);
document.querySelectorAll(".strip").forEach(scrub);

// A click enlarges a picture, and another one puts it back.
const dialog = document.querySelector("dialog");
document.addEventListener("click", (event) => {
  if (dialog.open) dialog.close();
  else if (event.target instanceof HTMLImageElement) {
    dialog.querySelector("img").src = event.target.src;
    dialog.showModal();
  }
});
