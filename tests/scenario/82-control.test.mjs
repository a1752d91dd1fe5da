// A control room: every panel has the same positions, a late one at once; meters at thirty frames a
// second; and what becomes of both when workers die.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.mjs";
import { call, client, connected } from "./support/stock.mjs";
import { history, publish, SHOTS, tidemark, until, wait } from "./support/tidemark.mjs";
import { startWorkers } from "./support/back-ends.mjs";

const DEVICES = ["Lectern", "Choir", "Organ", "Strings", "Brass", "Hall", "Stream"];

/* A panel as a program has it: positions by key, and frames. */
async function panel(t, server) {
    const socket = client(t, `${server.url}/control`, { way: "websocket" });
    const made = { socket, positions: {}, frames: [] };
    socket.on("set", ({ value }, { key }) => { made.positions[key] = value; });
    socket.on("meters", (frame) => made.frames.push({ ...frame, at: performance.now() }));
    await connected(socket);
    const [{ state }] = await call(socket, "tide:subscribe", { topic: "control/desk", since: "snapshot", meta: true });
    for (const [key, { data }] of Object.entries(state))
        if (key !== "devices")
            made.positions[key] ??= data.value;
    assert.equal((await call(socket, "tide:subscribe", { topic: "control/meters" }))[0].ok, true);
    made.set = async (device, control, value) => (await call(socket, "set", { device, control, value }))[0];
    return made;
}

async function standsUp(server) {
    await until("the desk", async () => Object.keys((await server.get("/api/v1/snapshot?topic=control/desk")).json.state).length === 1 + 2 * DEVICES.length);
}

test("every_panel_has_the_same_positions_a_late_one_at_once", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "control");
    await standsUp(server);
    const one = await panel(t, server), other = await panel(t, server);
    assert.equal(Object.keys(one.positions).length, 2 * DEVICES.length);
    assert.equal(await one.set("Choir", "fader", 33), undefined);
    assert.equal(await other.set("Choir", "switch", false), undefined);
    await until("both", () => [one, other].every(({ positions }) => positions["Choir/fader"] === 33 && positions["Choir/switch"] === false));
    const late = await panel(t, server);
    assert.deepEqual(late.positions, one.positions);
    assert.deepEqual(late.positions, other.positions);
});

test("what_is_no_position_is_refused", async (t) => {
    const server = await tidemark(t);
    const [worker] = await startWorkers(t, server, "control");
    await standsUp(server);
    const one = await panel(t, server), before = { ...one.positions };
    for (const [device, control, value, code] of [
        ["Choir", "fader", -1, "bad_request"], ["Choir", "fader", 100.5, "bad_request"], ["Choir", "fader", "33", "bad_request"],
        ["Choir", "fader", true, "bad_request"], ["Choir", "switch", 1, "bad_request"], ["Choir", "switch", null, "bad_request"],
        ["Choir", "lever", 1, "bad_request"], ["Choir", null, 1, "bad_request"], ["Nobody", "fader", 1, "not_found"],
        ["", "fader", 1, "not_found"], [7, "fader", 1, "not_found"], ["Choir/fader", "fader", 1, "not_found"]
    ])
        assert.equal((await one.set(device, control, value))?.code, code, JSON.stringify([device, control, value]));
    for (const odd of [[], ["Choir"], [null], [[]], [{}], [Buffer.from("x")]])
        assert.equal((await call(one.socket, "set", ...odd))[0].code, "not_found");
    assert.equal(await one.set("Choir", "fader", 0), undefined);
    await until("the right one", () => one.positions["Choir/fader"] === 0);
    assert.deepEqual(one.positions, { ...before, "Choir/fader": 0 });
    assert.deepEqual([worker.child.exitCode, worker.output], [null, ""]);
});

test("what_somebody_else_put_there_is_no_measure", async (t) => {
    const server = await tidemark(t);
    const [worker] = await startWorkers(t, server, "control");
    await standsUp(server);
    const one = await panel(t, server);
    const put = (key, value) => publish(server, { topic: "control/desk", event: "set", key, data: { value } });
    for (const value of [1e300, 1e6, -5, "70", null])
        await put("Choir/fader", value);
    await put("Organ/lever", false);
    await put("Choir/fader", 1e6);
    await put("Brass/fader", 0); /* what came before it has been heard */
    await until("silence", () => one.frames.at(-1)?.levels.Brass === 0 && one.frames.at(-1)?.levels.Choir === 0);
    await until("the organ", () => one.frames.at(-1).levels.Organ > 20);
    assert.ok(one.frames.every(({ levels }) => Object.values(levels).every((level) => level <= 150)));
    assert.deepEqual([worker.child.exitCode, worker.output], [null, ""]);
});

/* Frames in so many milliseconds, as a rate. */
async function rate(one, ms) {
    const from = one.frames.length;
    await wait(ms); /* what is measured is a rate */
    return (one.frames.length - from) * 1000 / ms;
}

test("g9_meters_come_at_thirty_a_second_and_are_not_logged", { timeout: 60000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "control");
    await standsUp(server);
    const one = await panel(t, server);
    await until("frames", () => one.frames.length > 3);
    const seen = await rate(one, 3000);
    assert.ok(seen > 20 && seen < 33, `${seen} frames a second`);
    assert.deepEqual(Object.keys(one.frames.at(-1).levels), DEVICES);
    /* They follow what stands, whoever put it there. */
    await Promise.all(DEVICES.map((device) => one.set(device, "fader", 90)));
    await until("loud", () => DEVICES.slice(0, -1).every((device) => one.frames.at(-1).levels[device] > 40));
    await one.set("Organ", "switch", false);
    await until("silence", () => one.frames.at(-1).levels.Organ === 0);
    assert.deepEqual(await history(server, "control/meters"), []);
});

test("of_several_workers_one_sends_and_another_goes_on", { timeout: 90000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "control", 3);
    await standsUp(server);
    const one = await panel(t, server);
    const lastBy = () => new Set(one.frames.slice(-20).map(({ by }) => by));
    await until("one of them", () => one.frames.length > 60 && lastBy().size === 1);
    const seen = await rate(one, 2000);
    assert.ok(seen > 20 && seen < 40, `${seen} frames a second`);
    assert.equal(await one.set("Hall", "fader", 12), undefined);
    const [by] = lastBy();
    assert.match(by, /-\d+$/);
    process.kill(Number(by.split("-")[1]), "SIGKILL"); /* one of those that this test started */
    const before = one.frames.length;
    await until("another one", () => one.frames.length > before + 60 && lastBy().size === 1 && !lastBy().has(by), 10000);
    const gap = Math.max(...one.frames.slice(before).map(({ at }, n) => at - one.frames[before + n - 1].at));
    assert.ok(gap < 3000, `no meters for ${Math.round(gap)} ms`);
    assert.equal(await one.set("Hall", "fader", 13), undefined);
    await until("a position", () => one.positions["Hall/fader"] === 13);
});

test("g2_a_worker_and_a_server_that_come_again_find_the_positions", { timeout: 90000 }, async (t) => {
    const server = await tidemark(t);
    const [worker] = await startWorkers(t, server, "control");
    await standsUp(server);
    const one = await panel(t, server);
    await one.set("Brass", "fader", 5);
    await worker.end("SIGKILL");
    await server.killAndRestart();
    await startWorkers(t, server, "control");
    await until("the panel to be back", () => one.socket.connected);
    await one.set("Brass", "switch", false);
    const late = await panel(t, server);
    assert.deepEqual([late.positions["Brass/fader"], late.positions["Brass/switch"]], [5, false]);
    assert.equal((await history(server, "control/desk")).length, 1 + 2 * DEVICES.length + 2, "nothing was put up again");
});

/*  -- the page --------------------------------------------------------------------------------- */

let browser;
before(async () => {
    await mkdir(SHOTS, { recursive: true });
    browser = await launch();
});
after(() => browser?.close());

async function open(t, server, { width = 1280, height = 800, colorScheme = "light" } = {}) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    t.after(() => page.close());
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(error.message));
    page.on("console", (message) => { if (message.type() === "error") page.complaints.push(message.text()); });
    await page.goto(`${server.url}/demo/control/`);
    page.strip = (device) => page.locator(`[data-device="${device}"]`);
    page.shows = (device, value) => until(`${device} at ${value}`, async () => (await page.strip(device).locator("output").textContent()) === String(value));
    return page;
}

test("the_page_in_two_windows_one_of_them_a_phone", { timeout: 120000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "control");
    const desk = await open(t, server), phone = await open(t, server, { width: 390, height: 844, colorScheme: "dark" });
    await desk.shows("Choir", 70);
    await phone.shows("Choir", 70);
    await until("two panels", async () => (await desk.textContent("#panels")) === "2");
    await desk.strip("Choir").locator("input").fill("25");
    await phone.shows("Choir", 25);
    await phone.strip("Brass").getByRole("switch").click();
    await desk.waitForSelector("[data-device=Brass].is-off");
    assert.equal(await desk.strip("Brass").locator(".by").textContent().then((text) => text.replace(/#\d+/, "#")), "# · another panel");

    await phone.click("#cut");
    await phone.waitForSelector("#desk.away");
    await desk.strip("Organ").locator("input").focus();
    await desk.keyboard.press("End");
    await desk.shows("Organ", 100);
    await phone.shows("Organ", 70);
    await phone.click("#cut");
    await phone.shows("Organ", 100);
    await until("the meters' rate", async () => Number(await desk.textContent("#rate")) > 15);
    await desk.screenshot({ path: path.join(SHOTS, "control-1280.png"), fullPage: true });
    await phone.screenshot({ path: path.join(SHOTS, "control-390-dark.png"), fullPage: true });
    for (const page of [desk, phone])
        assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "the page is wider than the window");
    assert.deepEqual([desk.complaints, phone.complaints], [[], []]);
});

test("the_page_says_what_to_do_where_there_is_no_worker", { timeout: 60000 }, async (t) => {
    const server = await tidemark(t);
    const page = await open(t, server);
    await page.waitForSelector("#notice:has-text('tidemark-control')");
    await startWorkers(t, server, "control");
    await page.shows("Choir", 70);
    await page.waitForSelector("#notice", { state: "hidden" });
});
