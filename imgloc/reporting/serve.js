"use strict";
const element = name => document.getElementById(name);
const video = element("video");
let latest = 0; // answers to earlier images are dropped

function show(text, failed = false) {
  element("status").textContent = text;
  element("status").classList.toggle("failed", failed);
}

function draw(answer) {
  const image = element("image");
  const objects = answer.objects ?? ("class" in answer ? [answer] : []);
  const rows = [];
  document.querySelectorAll(".box").forEach(box => box.remove());
  for (const object of objects) {
    const box = object.box_upright ?? object.box; // browsers show images upright
    const row = document.createElement("tr");
    const edges = object.box ? object.box.map(edge => Math.round(edge)).join(", ") : "";
    for (const text of [object.class, object.score?.toFixed(3) ?? "", edges]) {
      row.append(Object.assign(document.createElement("td"), {textContent: text}));
    }
    rows.push(row);
    if (!box || !image.naturalWidth) continue;
    const drawn = document.createElement("div");
    const [x0, y0, x1, y1] = box;
    drawn.className = "box";
    drawn.title = object.class;
    drawn.style.left = `${100 * x0 / image.naturalWidth}%`;
    drawn.style.top = `${100 * y0 / image.naturalHeight}%`;
    drawn.style.width = `${100 * (x1 - x0) / image.naturalWidth}%`;
    drawn.style.height = `${100 * (y1 - y0) / image.naturalHeight}%`;
    element("picture").append(drawn);
  }
  element("objects").replaceChildren(...rows);
  element("answer").textContent = JSON.stringify(answer, null, 2);
}

async function locate(file) {
  const own = ++latest;
  show("Predicting ...");
  const image = element("image");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  const start = performance.now();
  try {
    const shown = image.decode().catch(() => {}); // a format that the browser does not show may still be predicted
    const response = await fetch("v1/locate", {method: "POST", body: file, headers: {"Content-Type": "application/octet-stream"}});
    const answer = await response.json();
    await shown;
    if (own !== latest) return;
    element("result").hidden = !response.ok;
    if (!response.ok) return show(answer.error, true);
    draw(answer);
    const objects = answer.objects ? `${answer.objects.length} objects` : answer.class ?? "done";
    show(`${objects}, ${Math.round(performance.now() - start)} ms`);
  } catch (error) {
    if (own === latest) show(`The server does not answer: ${error.message}`, true);
  }
}

async function startCamera() {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: true});
    await video.play();
    video.hidden = element("take").hidden = false;
  } catch (error) {
    show(`No camera: ${error.message}; browsers allow it on this machine or over HTTPS`, true);
  }
}

function takePicture() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob(blob => locate(blob), "image/jpeg", 0.92);
}

const drop = element("drop");
element("file").addEventListener("change", event => event.target.files[0] && locate(event.target.files[0]));
element("camera").addEventListener("click", startCamera);
element("take").addEventListener("click", takePicture);
addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) locate(event.dataTransfer.files[0]);
});
