"use strict";
// Shows photos with the bodies found in them. No library: WebGL 2, and a 2D canvas for the joints.
// Axes are the camera's: x right, y down, z forward. Points of a photo are full-image pixels with
// pixel centres at integers; points of the screen are CSS pixels of the stage.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const [stage, canvas, marks] = ["stage", "scene", "marks"].map(element);
const ink = marks.getContext("2d");
const gl = canvas.getContext("webgl2", { antialias: true });

const NEAR = 0.05;
const BACKDROP = 1.2; // depth of the photo, over that of the farthest joint
const TURN = 0.008; // radians per pixel dragged
const STEEPEST = 1.5; // radians
const CLICK = 6; // pixels that a finger may slip and still click
const MAX_ZOOM = 40;
const KEPT_IMAGES = 8;

const state = { index: 0, selected: null, wanted: null, joint: null };
Object.assign(state, { yaw: 0, pitch: 0, zoom: 1, pan: [0, 0] });
let picture = null; // entry of data.pictures that is shown
let people = []; // its bodies, with what WebGL keeps of them
let photo = null; // its texture

// ---- arrays

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const faces = new Uint32Array(bytesOf(data.faces).buffer);

function verticesOf(person) {
  const steps = new Uint16Array(bytesOf(person.vertices).buffer);
  return Float32Array.from(steps, (step, i) => person.low[i % 3] + person.step[i % 3] * step);
}

function normalsOf(vertices) {
  const normals = new Float32Array(vertices.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    for (let k = 0; k < 3; k++) {
      const [i, j] = [(k + 1) % 3, (k + 2) % 3];
      const value =
        (vertices[b + i] - vertices[a + i]) * (vertices[c + j] - vertices[a + j]) -
        (vertices[b + j] - vertices[a + j]) * (vertices[c + i] - vertices[a + i]);
      normals[a + k] += value;
      normals[b + k] += value;
      normals[c + k] += value;
    }
  }
  return normals; // the shader makes them unit
}

// ---- the camera: the photo's own until somebody turns it

function pivot() {
  const chosen = people.find((person) => person === state.selected);
  if (chosen) return chosen.joints3d[0];
  const depths = people.map((person) => person.joints3d[0]).sort((a, b) => a[2] - b[2]);
  return depths.length ? depths[depths.length >> 1] : [0, 0, 5];
}

function rotation() { // rows
  const [cy, sy] = [Math.cos(state.yaw), Math.sin(state.yaw)];
  const [cp, sp] = [Math.cos(state.pitch), Math.sin(state.pitch)];
  return [[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]];
}

function view() { // what carries a point to the screen
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  const [photoWidth, photoHeight] = picture.size;
  const fit = Math.min(width / photoWidth, height / photoHeight);
  const scale = fit * state.zoom;
  const shift = [width, height].map(
    (side, k) => side / 2 - (scale * picture.size[k]) / 2 + state.pan[k] + scale / 2);
  const turn = rotation();
  const centre = pivot();
  const offset = turn.map((row, k) => centre[k] - dot(row, centre));
  return { width, height, scale, shift, turn, offset };
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function toCamera({ turn, offset }, point) {
  return turn.map((row, k) => dot(row, point) + offset[k]);
}

function toScreen(now, point) {
  const [x, y, z] = toCamera(now, point);
  if (z < NEAR) return null;
  const pixel = [x, y].map((v, k) => (picture.focal * v) / z + picture.centre[k]);
  return [...pixel.map((v, k) => now.scale * v + now.shift[k]), z];
}

function matrixOf(now) { // column by column, as WebGL wants it
  const far = 4 * (backdrop() + Math.hypot(...pivot()));
  const lens = 2 * now.scale * picture.focal;
  const [cx, cy] = picture.centre.map((v, k) => now.scale * v + now.shift[k]);
  const rows = [
    [lens / now.width, 0, (2 * cx) / now.width - 1, 0],
    [0, -lens / now.height, 1 - (2 * cy) / now.height, 0],
    [0, 0, (far + NEAR) / (far - NEAR), (-2 * far * NEAR) / (far - NEAR)],
    [0, 0, 1, 0],
  ];
  const move = now.turn.map((row, k) => [...row, now.offset[k]]).concat([[0, 0, 0, 1]]);
  const columns = [0, 1, 2, 3].map((c) => rows.map((row) =>
    row.reduce((sum, value, k) => sum + value * move[k][c], 0)));
  return new Float32Array(columns.flat());
}

function backdrop() {
  const depths = people.flatMap((person) => person.joints3d.map((joint) => joint[2]));
  return BACKDROP * Math.max(1, ...depths);
}

// ---- drawing

const BODY_SHADER = [`#version 300 es
in vec3 position; in vec3 normal;
uniform mat4 matrix; uniform mat3 turn;
out vec3 facing;
void main() { facing = turn * normal; gl_Position = matrix * vec4(position, 1.0); }`,
`#version 300 es
precision highp float;
in vec3 facing;
uniform vec4 colour; uniform vec3 key; uniform vec3 halfWay;
uniform vec4 shares; uniform float sharpness;
out vec4 fragment;
void main() {
  vec3 n = normalize(facing);
  float light = shares.x + shares.y * max(dot(n, key), 0.0) + shares.z * max(-n.z, 0.0);
  float gloss = shares.w * pow(max(dot(n, halfWay), 0.0), sharpness);
  fragment = vec4((colour.rgb * light + gloss) * colour.a, colour.a);
}`];
const PHOTO_SHADER = [`#version 300 es
in vec3 position; in vec2 place;
uniform mat4 matrix;
out vec2 at;
void main() { at = place; gl_Position = matrix * vec4(position, 1.0); }`,
`#version 300 es
precision highp float;
in vec2 at;
uniform sampler2D photo; uniform float opacity;
out vec4 fragment;
void main() { fragment = vec4(texture(photo, at).rgb * opacity, opacity); }`];

function program([vertex, fragment]) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  return { made, at: (name) => gl.getUniformLocation(made, name) };
}

function buffer(target, values) {
  const made = gl.createBuffer();
  gl.bindBuffer(target, made);
  gl.bufferData(target, values, gl.STATIC_DRAW);
  return made;
}

function attribute(shader, name, size, source) {
  const location = gl.getAttribLocation(shader.made, name);
  gl.bindBuffer(gl.ARRAY_BUFFER, source);
  gl.enableVertexAttribArray(location);
  gl.vertexAttribPointer(location, size, gl.FLOAT, false, 0, 0);
}

const bodyShader = gl && program(BODY_SHADER);
const photoShader = gl && program(PHOTO_SHADER);
const corners = gl && buffer(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]));
const faceBuffer = gl && buffer(gl.ELEMENT_ARRAY_BUFFER, faces);
const square = gl && gl.createBuffer();
const attributes = gl && gl.createVertexArray();

function drawPhoto(matrix, opacity) {
  const depth = backdrop();
  const edges = [[0, 0], [1, 0], [0, 1], [1, 1]].flatMap((corner) => [
    ...corner.map((v, k) =>
      ((v * picture.size[k] - 0.5 - picture.centre[k]) * depth) / picture.focal), depth]);
  gl.useProgram(photoShader.made);
  gl.bindBuffer(gl.ARRAY_BUFFER, square);
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(edges), gl.DYNAMIC_DRAW);
  attribute(photoShader, "position", 3, square);
  attribute(photoShader, "place", 2, corners);
  gl.uniformMatrix4fv(photoShader.at("matrix"), false, matrix);
  gl.uniform1f(photoShader.at("opacity"), opacity);
  gl.bindTexture(gl.TEXTURE_2D, photo);
  gl.disable(gl.DEPTH_TEST);
  gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  gl.enable(gl.DEPTH_TEST);
}

function drawBodies(matrix, turn, opacity) {
  const { key, halfWay, shares, sharpness } = data.light;
  gl.useProgram(bodyShader.made);
  gl.uniformMatrix4fv(bodyShader.at("matrix"), false, matrix);
  gl.uniformMatrix3fv(bodyShader.at("turn"), true, new Float32Array(turn.flat()));
  gl.uniform3fv(bodyShader.at("key"), key);
  gl.uniform3fv(bodyShader.at("halfWay"), halfWay);
  gl.uniform4fv(bodyShader.at("shares"), shares);
  gl.uniform1f(bodyShader.at("sharpness"), sharpness);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faceBuffer);
  for (const isDepth of [true, false]) { // depth first: nothing is then seen through a body
    gl.colorMask(!isDepth, !isDepth, !isDepth, !isDepth);
    for (const person of people) {
      attribute(bodyShader, "position", 3, person.positions);
      attribute(bodyShader, "normal", 3, person.normals);
      const alpha = state.selected && state.selected !== person ? opacity / 2 : opacity;
      gl.uniform4f(bodyShader.at("colour"), ...person.colour.map((v) => v / 255), alpha);
      gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_INT, 0);
    }
  }
}

function drawScene(now) {
  const matrix = matrixOf(now);
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.bindVertexArray(attributes);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  gl.depthFunc(gl.LEQUAL);
  const facing = Math.max(0, now.turn[2][2]); // the photo is no thing: it fades from the side
  if (photo && element("photo").checked && facing > 0) drawPhoto(matrix, facing ** 2);
  const opacity = Number(element("opacity").value) / 100;
  if (opacity > 0) drawBodies(matrix, now.turn, opacity);
}

function drawMarks(now) {
  const ratio = marks.width / Math.max(1, now.width);
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.clearRect(0, 0, now.width, now.height);
  const shown = people.filter((person) => element("skeletons").checked || person === state.selected);
  for (const person of shown) drawSkeleton(person.joints3d.map((joint) => toScreen(now, joint)));
  if (!state.selected) return;
  state.selected.joints3d.forEach((joint, j) => {
    const at = toScreen(now, joint);
    if (at && (j === state.joint || element("names").checked)) drawName(data.joints[j], at);
  });
}

function drawSkeleton(points) {
  for (const [width, style] of [[4, "#000a"], [2, "#fff"]]) {
    ink.lineWidth = width;
    ink.strokeStyle = style;
    ink.beginPath();
    points.forEach((point, j) => {
      const parent = points[data.parents[j]];
      if (!point || !parent) return;
      ink.moveTo(parent[0], parent[1]);
      ink.lineTo(point[0], point[1]);
    });
    ink.stroke();
  }
}

function drawName(name, [x, y]) {
  ink.font = "13px system-ui, sans-serif";
  ink.lineWidth = 4;
  ink.strokeStyle = "#000c";
  ink.fillStyle = "#fff";
  ink.strokeText(name, x + 8, y + 4);
  ink.fillText(name, x + 8, y + 4);
  ink.beginPath();
  ink.arc(x, y, 4, 0, 2 * Math.PI);
  ink.stroke();
  ink.fill();
}

let isAsked = false;
function redraw() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    const now = view();
    if (gl) drawScene(now);
    drawMarks(now);
  });
}

// ---- pictures and people

const isSame = (one, other) =>
  one.track >= 0 || other.track >= 0 ? one.track === other.track : one.id === other.id;

function show(index) {
  const before = picture;
  state.index = index;
  picture = data.pictures[index];
  const isNext = before && picture.sequence && before.sequence === picture.sequence;
  for (const person of gl ? people : []) {
    gl.deleteBuffer(person.positions);
    gl.deleteBuffer(person.normals);
  }
  people = picture.people.map(load);
  const { wanted } = state; // who may be missed in a frame and found again in the next
  state.selected = (wanted && people.find((person) => isSame(person, wanted))) || null;
  if (!isNext) state.wanted = state.selected;
  element("frame").value = index;
  element("name").textContent = picture.name;
  element("count").textContent = `${index + 1} / ${data.pictures.length}`;
  element("message").textContent = gl ? picture.note : "This browser has no WebGL 2.";
  element("people").replaceChildren(...people.map(personRow));
  element("play").hidden = !picture.sequence;
  showJoints();
  if (gl) loadPhoto(picture, isNext);
  if (isNext) redraw();
  else home();
}

function load(person) {
  const vertices = verticesOf(person);
  if (!gl) return { ...person, vertices };
  const positions = buffer(gl.ARRAY_BUFFER, vertices);
  return { ...person, vertices, positions, normals: buffer(gl.ARRAY_BUFFER, normalsOf(vertices)) };
}

const images = new Map(); // of the pictures shown last and next, being decoded or ready

function imageOf(wanted) {
  if (!images.has(wanted)) {
    const image = new Image();
    image.src = `data:image/jpeg;base64,${wanted.photo}`;
    images.set(wanted, image.decode().then(() => image));
    if (images.size > KEPT_IMAGES) images.delete(images.keys().next().value);
  }
  return images.get(wanted);
}

function forgetPhoto() {
  gl.deleteTexture(photo);
  photo = null;
}

function loadPhoto(wanted, isNext) {
  if (!isNext || !wanted.photo) forgetPhoto(); // that of the last frame stays till this one is there
  if (!wanted.photo) return;
  imageOf(wanted).then((image) => {
    if (wanted !== picture) return;
    forgetPhoto();
    photo = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, photo);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    redraw();
  });
}

// ---- playing

let playing = null; // the picture and the time of the clock from which it goes on

function play(isOn) {
  playing = isOn ? { from: picture.time, since: performance.now() } : null;
  element("play").textContent = isOn ? "❚❚" : "▶";
  element("play").setAttribute("aria-pressed", String(isOn));
  element("play").setAttribute("aria-label", isOn ? "pause" : "play");
  if (isOn) requestAnimationFrame(advance);
}

function advance(now) {
  if (!playing) return;
  const frames = data.pictures.filter((each) => each.sequence === picture.sequence);
  const time = playing.from + (now - playing.since) / 1000;
  const due = frames.filter((each) => each.time <= time).pop() || frames[0];
  const last = frames[frames.length - 1];
  const step = frames.length > 1 ? last.time - frames[frames.length - 2].time : 1;
  const next = time >= last.time + step ? frames[0] : due;
  if (next !== due) playing = { from: next.time, since: now };
  if (next === picture) return requestAnimationFrame(advance);
  const ready = gl && next.photo ? imageOf(next) : Promise.resolve();
  ready.then(() => {
    if (!playing) return;
    show(data.pictures.indexOf(next));
    const after = frames[frames.indexOf(next) + 1];
    if (gl && after && after.photo) imageOf(after);
    requestAnimationFrame(advance);
  });
}

function make(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...properties });
}

function personRow(person) {
  const button = make("button", "", { onclick: () => select(person) });
  const chip = make("span", "", { className: "chip" });
  chip.style.backgroundColor = `rgb(${person.colour})`;
  const distance = Math.hypot(...person.joints3d[0]).toFixed(1);
  const name = person.track >= 0 ? `track ${person.track}` : `person ${person.id}`;
  const label = `${name}, ${distance} m away, score ${person.score.toFixed(2)}`;
  button.append(chip, label);
  button.dataset.person = person.id;
  return button;
}

function select(person) {
  state.selected = state.wanted = state.selected === person ? null : person;
  state.joint = null;
  showJoints();
  redraw();
}

function showJoints() {
  for (const button of element("people").children) {
    const isChosen = state.selected && Number(button.dataset.person) === state.selected.id;
    button.setAttribute("aria-pressed", isChosen ? "true" : "false");
  }
  const rows = (state.selected ? data.joints : []).map((name, j) => {
    const row = make("tr", "");
    const [x, y, z] = state.selected.joints3d[j].map((v) => v.toFixed(2));
    const [u, v] = state.selected.joints2d[j].map((value) => value.toFixed(0));
    row.append(...[name, u, v, x, y, z].map((text) => make("td", text)));
    row.onpointerenter = row.onclick = () => { state.joint = j; redraw(); };
    return row;
  });
  element("joints").replaceChildren(...rows);
  element("jointTable").hidden = !rows.length;
}

function personAt(x, y) {
  const now = view();
  let [nearest, found] = [Infinity, null];
  for (const person of people) {
    const points = [];
    for (let i = 0; i < person.vertices.length; i += 3) {
      points.push(toScreen(now, person.vertices.subarray(i, i + 3)));
    }
    for (let f = 0; f < faces.length; f += 3) {
      const depth = depthAt(points[faces[f]], points[faces[f + 1]], points[faces[f + 2]], x, y);
      if (depth < nearest) [nearest, found] = [depth, person];
    }
  }
  return found;
}

function depthAt(a, b, c, x, y) { // of a triangle on the screen; infinite beside it
  if (!a || !b || !c) return Infinity;
  const side = (p, q) => (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]);
  const [ab, bc, ca] = [side(a, b), side(b, c), side(c, a)];
  const isInside = (ab >= 0 && bc >= 0 && ca >= 0) || (ab <= 0 && bc <= 0 && ca <= 0);
  return isInside ? Math.min(a[2], b[2], c[2]) : Infinity;
}

// ---- hands

function home() {
  Object.assign(state, { yaw: 0, pitch: 0, zoom: 1, pan: [0, 0] });
  redraw();
}

function orbit(dx, dy) {
  state.yaw = (state.yaw + TURN * dx) % (2 * Math.PI);
  state.pitch = Math.min(STEEPEST, Math.max(-STEEPEST, state.pitch - TURN * dy));
}

function zoomAt(x, y, factor) {
  const zoom = Math.min(MAX_ZOOM, Math.max(0.2, state.zoom * factor));
  const ratio = zoom / state.zoom;
  const middle = [stage.clientWidth / 2, stage.clientHeight / 2];
  state.pan = [x, y].map((v, k) => v - middle[k] - ratio * (v - middle[k] - state.pan[k]));
  state.zoom = zoom;
}

const fingers = new Map();
let travelled = 0;

function inStage(event) {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function spread() {
  const [a, b] = [...fingers.values()];
  return { at: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], size: Math.hypot(a[0] - b[0], a[1] - b[1]) };
}

stage.onpointerdown = (event) => {
  stage.setPointerCapture(event.pointerId);
  if (!fingers.size) travelled = 0;
  fingers.set(event.pointerId, inStage(event));
};
stage.onpointermove = (event) => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const before = fingers.size === 2 && spread();
  const at = inStage(event);
  fingers.set(event.pointerId, at);
  const [dx, dy] = [at[0] - last[0], at[1] - last[1]];
  travelled += Math.hypot(dx, dy);
  if (before) {
    const after = spread();
    state.pan = state.pan.map((v, k) => v + after.at[k] - before.at[k]);
    zoomAt(...after.at, after.size / Math.max(1, before.size));
    travelled = Infinity;
  } else if (event.shiftKey || event.buttons === 2) {
    state.pan = [state.pan[0] + dx, state.pan[1] + dy];
  } else if (travelled > CLICK) {
    orbit(dx, dy);
  }
  redraw();
};
stage.onpointerup = (event) => {
  const isClick = fingers.size === 1 && travelled <= CLICK && event.button === 0;
  fingers.delete(event.pointerId);
  const person = isClick && personAt(...inStage(event));
  if (person && person !== state.selected) select(person);
};
stage.onpointercancel = (event) => fingers.delete(event.pointerId);
stage.oncontextmenu = (event) => event.preventDefault();
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(...inStage(event), Math.exp(-event.deltaY / 500));
  redraw();
}, { passive: false });

element("home").onclick = home;
for (const id of ["opacity", "photo", "skeletons", "names"]) element(id).oninput = redraw;
element("frame").oninput = (event) => {
  play(false);
  show(Number(event.target.value));
};
element("play").onclick = () => play(!playing);
element("frames").hidden = data.pictures.length < 2;
element("frame").max = data.pictures.length - 1;

new ResizeObserver(() => {
  for (const layer of [canvas, marks]) {
    layer.width = Math.round(stage.clientWidth * devicePixelRatio);
    layer.height = Math.round(stage.clientHeight * devicePixelRatio);
  }
  redraw();
}).observe(stage);

if (data.pictures.length) show(0);
