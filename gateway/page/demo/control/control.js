/*  The control room: positions are what stands in a topic, meters a volatile stream.
 *
 *  Which devices there are the worker says, by what it keeps standing; this page has no list of its
 *  own. A fader that is dragged asks for its newest position only, one call at a time.
 *  SPDX-License-Identifier: MIT
 */
import { io } from "/socket.io/socket.io.esm.min.js";
import { liveMap, resume } from "/socket.io/tidemark.js";
import { ask, byId, connectWhenServed, cut, oncePerFrame, pause, restore, setText, showState } from "../demo.js";

const DESK = "control/desk", METERS = "control/meters";
const GAP_MS = 40;          // between two positions of one fader
const AGAIN_MS = 1000;      // between two tries to find a worker
const PEAK_MS = 1200;       // how long a meter's peak stands
const STALE_MS = 1000;      // without a frame for so long, there is no reading
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

const socket = connectWhenServed(resume(io("/control", { transports: ["websocket"], reconnectionDelay: 200, reconnectionDelayMax: 2000 })));
let changes = 0;

const desk = liveMap(socket, DESK, (key, event) => {
    if (key === undefined) {
        for (const strip of strips.values())
            strip.shownFrom = 0;
    }
    else {
        changes++;
        news.set(key, event);
    }
    draw();
});
const panels = liveMap(socket, `$presence/${METERS}`, () => draw());
const news = new Map();     // keys that changed since the last frame

showState(socket, byId("desk"));
socket.on("connect", () => {
    if (!socket.recovered)
        socket.emit("tide:subscribe", { topic: METERS, present: true }, (answer) => {
            if (!answer.ok)
                say(`There are no meters: ${answer.message}`, true);
        });
    draw();
});
socket.on("disconnect", () => draw());

/*  -- a strip: one device ----------------------------------------------------------------------- */

const strips = new Map();

class Strip {
    constructor(device) {
        this.device = device;
        this.wanted = new Map();    // by control: what to ask for next
        this.isBusy = new Set();
        this.shownFrom = 0;
        this.level = this.peak = this.peakUntil = 0;
        this.root = byId("strip").content.cloneNode(true).firstElementChild;
        this.root.dataset.device = device;
        const part = (selector) => this.root.querySelector(selector);
        this.part = { h3: part("h3"), toggle: part("[role=switch]"), state: part(".switch-text"), input: part("input"),
                      output: part("output"), by: part(".by"), meter: part(".meter") };
        const { h3, input, meter, by } = this.part;
        h3.textContent = device;
        h3.id = `strip-${strips.size}`;
        by.id = `by-${strips.size}`;
        this.root.setAttribute("aria-labelledby", h3.id);
        this.part.toggle.setAttribute("aria-label", `${device}, on`);
        input.setAttribute("aria-label", `${device}, fader`);
        input.setAttribute("aria-describedby", by.id);
        meter.setAttribute("aria-label", `${device}, level`);
        input.addEventListener("input", () => this.want("fader", input.valueAsNumber));
        this.part.toggle.addEventListener("click", () => this.want("switch", this.part.toggle.getAttribute("aria-checked") !== "true"));
        byId("strips").append(this.root);
    }

    /*  Shows it at once, and asks the worker for it: for the newest only, while that takes time. */
    async want(control, value) {
        this.wanted.set(control, value);
        this.put(control, value);
        if (this.isBusy.has(control))
            return;
        this.isBusy.add(control);
        while (this.wanted.has(control)) {
            value = this.wanted.get(control);
            this.wanted.delete(control);
            try {
                await ask(socket, "set", { device: this.device, control, value });
            }
            catch (error) {
                if (error.code !== "no_worker")
                    say(`${this.device} stays as it is: ${error.message}`, true);
                else {
                    await pause(AGAIN_MS);
                    if (!this.wanted.has(control))
                        this.wanted.set(control, value);
                }
            }
            await pause(GAP_MS);
        }
        this.isBusy.delete(control);
        this.shownFrom = 0;
        draw();
    }

    put(control, value) {
        if (control === "fader") {
            this.part.input.value = level(value);
            setText(this.part.output, String(level(value)));
            return;
        }
        this.part.toggle.setAttribute("aria-checked", value === true);
        setText(this.part.state, value === true ? "On" : "Off");
        this.root.classList.toggle("is-off", value !== true);
    }

    draw() {
        let last;
        for (const control of ["fader", "switch"]) {
            const key = `${this.device}/${control}`, event = desk.get(key);
            if (event && !this.isBusy.has(control))
                this.put(control, event.data?.value);
            if (event && !(last?.seq > event.seq))
                last = event;
            const by = news.get(key)?.data?.by;
            if (by && by !== socket.id)
                this.flash();
        }
        const isWaiting = this.isBusy.size > 0 && !socket.connected;
        this.root.classList.toggle("waiting", isWaiting);
        setText(this.part.by, isWaiting ? "goes out when back" : !last ? "" : `#${last.seq} · ${last.data?.by === socket.id ? "you" : last.data?.by ? "another panel" : "the worker"}`);
    }

    flash() {
        this.root.classList.remove("changed");
        void this.root.offsetWidth;
        this.root.classList.add("changed");
    }

    meter(value, now) {
        if (value >= this.peak || now > this.peakUntil)
            [this.peak, this.peakUntil] = [value, now + PEAK_MS];
        this.level = value;
        this.part.meter.style.setProperty("--v", value);
        this.part.meter.style.setProperty("--p", this.peak);
    }
}

const level = (value) => typeof value === "number" && value >= 0 && value <= 100 ? Math.round(value) : 0;

/*  -- meters ------------------------------------------------------------------------------------- */

let frames = [];            // when the last ones came
let newest = null, drawnAt = 0;

socket.on("meters", (data) => {
    frames.push(performance.now());
    newest = data?.levels ?? {};
    drawMeters();
});

const drawMeters = oncePerFrame(() => {
    const now = performance.now();
    if (isCalm.matches && now - drawnAt < 500)
        return;
    drawnAt = now;
    for (const [device, strip] of strips)
        strip.meter(level(newest[device]), now);
});

setInterval(() => {
    const now = performance.now();
    frames = frames.filter((time) => now - time < 1000);
    setText(byId("rate"), String(frames.length));
    if (newest && frames.length === 0 && now - drawnAt > STALE_MS) {
        newest = null;
        for (const strip of strips.values())
            strip.meter(0, Infinity);
    }
    // Whoever listens to a page hears a level once a second, not thirty times.
    for (const strip of strips.values())
        strip.part.meter.setAttribute("aria-valuenow", Math.round(strip.level));
}, 1000);

/*  -- drawing ------------------------------------------------------------------------------------ */

function say(text, isWrong = false) {
    byId("said").textContent = text;
    byId("said").classList.toggle("wrong", isWrong);
}

/*  The devices in the order in which the worker put them there, which is that of their keys' age. */
function drawStrips() {
    const devices = desk.get("devices")?.data;
    for (const device of Array.isArray(devices) ? devices.map(String) : [])
        if (!strips.has(device))
            strips.set(device, new Strip(device));
    [...strips.values()].at(-1)?.root.classList.add("sum");
    byId("nothing").hidden = strips.size > 0;
    if (desk.seq !== undefined && strips.size === 0)
        setText(byId("nothing"), "There is no desk yet: the worker puts it up when it starts for the first time.");
    for (const strip of strips.values())
        strip.draw();
    news.clear();
}

const draw = oncePerFrame(() => {
    drawStrips();
    setText(byId("panels"), panels.seq === undefined || panels.error ? "–" : String(panels.size));
    setText(byId("changes"), changes.toLocaleString("en"));
    setText(byId("seq"), desk.seq === undefined ? "–" : String(desk.seq));
    setText(byId("cut"), socket.isCut ? "Let it come back" : "Cut this panel off");
});

byId("cut").addEventListener("click", () => {
    if (socket.isCut)
        restore(socket);
    else
        cut(socket);
    draw();
});
document.querySelectorAll("[data-origin]").forEach((place) => { place.textContent = location.origin; });
draw();
