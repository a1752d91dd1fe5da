// Pick-ups and deliveries: whoever was away gets what it missed, what a driver who is gone had in
// hand goes to another, and each parcel is one driver's, whatever dies.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.mjs";
import { call, client, connected } from "./support/stock.mjs";
import { anotherGateway, history, isLong, publish, random, SHOTS, tidemark, until } from "./support/tidemark.mjs";
import { startWorker, startWorkers } from "./support/back-ends.mjs";

/* A shop or a driver who reads by its cursor: what stands by id, and all that it heard. */
async function seat(t, server, role, name) {
    const socket = client(t, `${server.url}/parcel`, { way: "websocket" });
    const topic = `parcel/${role}/${name}`, cursor = `parcel ${role} ${name}`;
    const made = { socket, name, parcels: new Map(), heard: [] };
    for (const event of ["parcel", "pick-up", "handed on", "delivered"])
        socket.on(event, (data, { key, seq, removed }) => {
            made.heard.push([event, key, data?.state, data?.driver]);
            if (removed)
                made.parcels.delete(key);
            else
                made.parcels.set(key, data);
            made.acked = seq;
            socket.emit("tide:ack", { cursor, seq });
        });
    await connected(socket);
    const [{ seq, epoch, state }] = await call(socket, "tide:snapshot", { topic });
    for (const [key, { data }] of Object.entries(state))
        made.parcels.set(key, data);
    const [joined] = await call(socket, "tide:subscribe", { topic, cursor, since: seq, epoch, meta: true });
    assert.equal(joined.ok, true, JSON.stringify(joined));
    made.missed = made.heard.length;
    made.ask = async (event, data) => (await call(socket, event, data))[0];
    made.settle = async () => made.acked && call(socket, "tide:ack", { cursor, seq: made.acked });
    if (role === "driver")
        assert.deepEqual(await call(socket, "on duty", { driver: name }), []);
    return made;
}

const shop = (t, server, name) => seat(t, server, "shop", name);
const driver = (t, server, name) => seat(t, server, "driver", name);
const has = (who, count) => until(() => `${who.name} to have ${count} in hand, heard ${JSON.stringify(who.heard)}`, () => who.parcels.size === count, 40000);
const post = async (where, what) => (await where.ask("post", { shop: where.name, what, to: "the quay" })).id;
const is = (where, id, state, by) => until(() => `${id} to be ${state}, heard ${JSON.stringify(where.heard)}`,
    () => where.parcels.get(id)?.state === state && (!by || where.parcels.get(id).driver === by), 40000);

test("a_parcel_from_the_shop_to_its_delivery", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel", 2);
    const bakery = await shop(t, server, "Bakery"), florist = await shop(t, server, "Florist");
    const id = await post(bakery, "rye");
    await is(bakery, id, "waiting");
    const ann = await driver(t, server, "Ann"); /* whoever comes on duty gets what waits */
    await has(ann, 1);
    await is(bakery, id, "coming", "Ann");
    assert.equal(await ann.ask("picked up", { id }), undefined);
    await is(bakery, id, "taken", "Ann");
    assert.equal(await ann.ask("delivered", { id }), undefined);
    await is(bakery, id, "delivered", "Ann");
    await has(ann, 0);
    assert.deepEqual(bakery.heard.map(([, , state]) => state), ["waiting", "coming", "taken", "delivered"]);
    assert.deepEqual(ann.heard.map(([event]) => event), ["pick-up", "pick-up", "delivered"]);
    assert.deepEqual(florist.heard, []);
    assert.equal((await ann.ask("delivered", { id })).code, "not_found");
});

test("work_goes_to_whoever_has_the_least", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel");
    const ann = await driver(t, server, "Ann"), ben = await driver(t, server, "Ben"), bakery = await shop(t, server, "Bakery");
    for (let n = 0; n < 6; n++)
        await is(bakery, await post(bakery, `loaf ${n}`), "coming");
    await has(ann, 3);
    await has(ben, 3);
});

test("what_a_driver_who_is_gone_had_in_hand_goes_to_another", { timeout: 90000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel", 2);
    const bakery = await shop(t, server, "Bakery"), ann = await driver(t, server, "Ann");
    const ids = [await post(bakery, "rye"), await post(bakery, "wheat")];
    await has(ann, 2);
    await ann.ask("picked up", { id: ids[0] });
    await ann.settle();
    const ben = await driver(t, server, "Ben");
    assert.equal(ben.parcels.size, 0);
    ann.socket.io.reconnection(false);
    ann.socket.io.engine.close(); /* as a window that is closed */
    await has(ben, 2);
    for (const id of ids)
        await is(bakery, id, "coming", "Ben");
    const back = await driver(t, server, "Ann"); /* in another browser, if need be */
    assert.equal(back.parcels.size, 0);
    assert.deepEqual(back.heard.slice(0, back.missed).map(([event, id]) => [event, id]).sort(), ids.map((id) => ["handed on", id]).sort());
    assert.equal((await back.ask("delivered", { id: ids[0] })).code, "not_found");
    await ben.ask("delivered", { id: ids[0] });
    await is(bakery, ids[0], "delivered", "Ben");
});

test("nobody_else_is_there_and_the_driver_comes_back", { timeout: 90000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel");
    const bakery = await shop(t, server, "Bakery"), ann = await driver(t, server, "Ann");
    const id = await post(bakery, "rye");
    await has(ann, 1);
    ann.socket.disconnect();
    await until("a job", async () => Object.keys((await server.get("/api/v1/snapshot?topic=parcel/jobs")).json.state).length === 1);
    const back = await driver(t, server, "Ann");
    await until("no job", async () => Object.keys((await server.get("/api/v1/snapshot?topic=parcel/jobs")).json.state).length === 0);
    assert.equal(back.parcels.get(id).what, "rye");
    await back.ask("delivered", { id });
    await is(bakery, id, "delivered", "Ann");
});

test("g5_a_shop_that_was_away_hears_of_all_deliveries", { timeout: 60000 }, async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const other = await anotherGateway(t, server);
    await startWorkers(t, server, "parcel", 2);
    const bakery = await shop(t, server, "Bakery"), ann = await driver(t, server, "Ann");
    const ids = [];
    for (let n = 0; n < 3; n++)
        ids.push(await post(bakery, `loaf ${n}`));
    await has(ann, 3);
    for (const id of ids)
        await is(bakery, id, "coming");
    await bakery.settle();
    bakery.socket.disconnect();
    for (const id of ids) {
        await ann.ask("picked up", { id });
        await ann.ask("delivered", { id });
    }
    const back = await shop(t, other, "Bakery"); /* at another gateway */
    assert.deepEqual(back.heard.slice(0, back.missed), ids.flatMap((id) => ["taken", "delivered"].map((state) => ["parcel", id, state, "Ann"])));
    await back.settle();
    back.socket.disconnect();
    const again = await shop(t, server, "Bakery");
    assert.equal(again.missed, 0, "what was acknowledged does not come again");
    assert.equal(again.parcels.size, 3);
});

test("what_is_wrong_is_refused_by_name", async (t) => {
    const server = await tidemark(t);
    const [worker] = await startWorkers(t, server, "parcel");
    const socket = client(t, `${server.url}/parcel`, { way: "websocket" });
    await connected(socket);
    const code = async (...args) => (await call(socket, ...args))[0]?.code;
    for (const bad of [undefined, null, 1, "Bakery", [], {}, { shop: "Bakery", what: "rye" }, { shop: 1, what: "rye", to: "quay" },
        { shop: "", what: "rye", to: "quay" }, { shop: "x".repeat(300), what: "rye", to: "quay" }, { shop: "Bakery", what: "x".repeat(999000), to: "quay" },
        { shop: "Bakery", what: "rye", to: "x".repeat(1001) }])
        assert.equal(await code("post", bad), "bad_request", JSON.stringify(bad));
    for (const bad of [undefined, null, {}, { driver: "" }, { driver: 7 }, { driver: "x".repeat(300) }])
        assert.equal(await code("on duty", bad), "bad_request", JSON.stringify(bad));
    for (const event of ["picked up", "delivered"])
        for (const bad of [undefined, {}, { id: 1 }, { id: "none" }])
            assert.equal(await code(event, bad), "not_found", JSON.stringify(bad));
    assert.deepEqual([worker.child.exitCode, worker.output], [null, ""]);
});

test("what_stands_there_and_is_no_parcel_hurts_no_worker", async (t) => {
    const server = await tidemark(t);
    const [worker] = await startWorkers(t, server, "parcel");
    const bakery = await shop(t, server, "Bakery"), ann = await driver(t, server, "Ann");
    const odd = [{}, "text", null, [], { state: 1 }, { state: "coming", driver: 7 }, { state: "coming", driver: "" }];
    for (const [n, data] of odd.entries())
        await publish(server, [
            { topic: "parcel/driver", event: "pick-up", key: `odd ${n}`, data },
            { topic: "parcel/driver/Nobody", event: "pick-up", key: `odd ${n}`, data },
            { topic: "parcel/shop/Bakery", event: "parcel", key: `odd ${n}`, data },
            { topic: "parcel/jobs", event: "job", key: `odd ${n}`, data: { shop: "Bakery" } },
            { topic: "parcel/jobs", event: "job", key: `odder ${n}`, data }
        ]);
    const ben = await driver(t, server, "Ben"); /* which has all of it looked through */
    const id = await post(bakery, "rye");
    await is(bakery, id, "coming");
    await until("a driver", () => ann.parcels.has(id) || ben.parcels.has(id));
    assert.deepEqual([worker.child.exitCode, worker.output], [null, ""]);
});

test("a_parcel_that_was_said_to_be_an_earlier_drivers_is_given_again", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel");
    const bakery = await shop(t, server, "Bakery"), ben = await driver(t, server, "Ben");
    const id = await post(bakery, "rye");
    await is(bakery, id, "coming", "Ben");
    /* As it is where somebody picks up what was just handed on. */
    await publish(server, { topic: "parcel/shop/Bakery", event: "parcel", key: id,
                            data: { ...bakery.parcels.get(id), driver: "Ann", state: "taken", round: 0 } });
    await is(bakery, id, "taken", "Ann");
    await publish(server, { topic: "parcel/jobs", event: "job", key: id, data: { shop: "Bakery" } });
    await is(bakery, id, "coming", "Ben");
    await has(ben, 1);
});

test("what_a_driver_of_an_odd_name_has_in_hand_is_no_job", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel");
    const bakery = await shop(t, server, "Bakery"), odd = client(t, `${server.url}/parcel`, { way: "websocket" });
    await connected(odd);
    assert.deepEqual(await call(odd, "on duty", { driver: "A/B 100%" }), []);
    const id = await post(bakery, "rye");
    await is(bakery, id, "coming", "A/B 100%");
    const noJob = () => until("no job", async () => Object.keys((await server.get("/api/v1/snapshot?topic=parcel/jobs")).json.state).length === 0);
    const jobs = async () => (await history(server, "parcel/jobs")).filter(({ key }) => key === id).length;
    await noJob();
    const before = await jobs();
    const ben = await driver(t, server, "Ben"); /* all hands are looked through */
    await post(bakery, "wheat");
    await has(ben, 1);
    await noJob();
    assert.equal(await jobs(), before);
});

/* Drivers and workers die at random, while a shop posts. Each parcel is delivered, once as the shop
   hears it, by one who had it in hand. */
test("g7_each_parcel_is_delivered_once_while_drivers_and_workers_die", { timeout: 280000 }, async (t) => {
    const PARCELS = isLong ? 300 : 60, WORKERS = 3;
    const server = await tidemark(t, { isSeparate: true });
    const workers = await startWorkers(t, server, "parcel", WORKERS);
    const bakery = await shop(t, server, "Bakery");
    const names = ["Ann", "Ben", "Cleo", "Dov"];
    const drivers = await Promise.all(names.map((name) => driver(t, server, name)));
    const work = async (one) => {
        const [id] = [...one.parcels.keys()];
        if (!id || !one.socket.connected)
            return;
        const answer = await one.ask("delivered", { id });
        assert.ok(answer === undefined || answer.code === "not_found", JSON.stringify(answer));
    };
    const ids = [];
    for (let n = 0; n < PARCELS; n++) {
        ids.push(await post(bakery, `loaf ${n}`));
        await Promise.all(drivers.slice(1).map(work));
        if (n % 10 === 4) {
            const at = random(WORKERS);
            workers[at].end("SIGKILL");
            workers[at] = startWorker(t, server, "parcel");
        }
        if (n % 15 === 9) {
            drivers[0].socket.disconnect();
            drivers.push(await driver(t, server, drivers.shift().name));
        }
    }
    await until(() => `all delivered; ${ids.filter((id) => bakery.parcels.get(id)?.state !== "delivered").length} are not`, async () => {
        await Promise.all(drivers.map(work));
        return ids.every((id) => bakery.parcels.get(id)?.state === "delivered");
    }, 120000);
    const log = await history(server, "parcel/shop/Bakery");
    for (const id of ids)
        assert.equal(log.filter(({ key, data }) => key === id && data.state === "delivered").length, 1, id);
    for (const one of drivers)
        await has(one, 0);
    await until("no job open", async () => Object.keys((await server.get("/api/v1/snapshot?topic=parcel/jobs")).json.state).length === 0, 40000);
});

/*  -- the page --------------------------------------------------------------------------------- */

let browser;
before(async () => {
    await mkdir(SHOTS, { recursive: true });
    browser = await launch();
});
after(() => browser?.close());

async function open(t, server, { width = 1280, height = 900, colorScheme = "light" } = {}) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    t.after(() => page.close());
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(error.message));
    page.on("console", (message) => { if (message.type() === "error") page.complaints.push(message.text()); });
    await page.addInitScript(() => {
        if (!sessionStorage.getItem("tidemark demo parcel"))
            sessionStorage.setItem("tidemark demo parcel", JSON.stringify({ shop: "Bakery", drivers: ["Ann", "Ben"] }));
    });
    await page.goto(`${server.url}/demo/parcel/`);
    page.seat = (name) => page.locator(`section.seat:has(h2:has-text("${name}"))`);
    page.post = async (what) => {
        await page.fill("[name=what]", what);
        await page.click(".post button");
    };
    page.holds = (name, what) => page.waitForSelector(`section.seat:has(h2:has-text("${name}")) .parcels li:has-text("${what}")`, { timeout: 30000 });
    return page;
}

test("the_page_closes_a_drivers_window_and_the_parcel_goes_on", { timeout: 120000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "parcel", 2);
    const page = await open(t, server);
    await page.waitForSelector("#duty:has-text('Ann, Ben')");
    await page.seat("Ben").locator(".cut").click();
    await page.waitForSelector("#duty:text-is('Ann')", { timeout: 30000 });
    await page.post("Two rye loaves");
    await page.holds("Ann", "Two rye loaves");
    await page.holds("Bakery", "Ann is coming");
    await page.seat("Ann").getByRole("button", { name: "Picked up: Two rye loaves" }).click();
    await page.holds("Bakery", "Ann has it");

    await page.seat("Ben").locator(".cut").click();
    await page.waitForSelector("#duty:has-text('Ann, Ben')");
    await page.seat("Ann").locator(".cut").click();
    await page.holds("Ben", "Two rye loaves");
    await page.seat("Bakery").locator(".cut").click();
    await page.seat("Ben").getByRole("button", { name: "Picked up: Two rye loaves" }).click();
    await page.seat("Ben").getByRole("button", { name: "Delivered: Two rye loaves" }).click();
    await page.waitForSelector("section.seat:has(h2:has-text('Ben')) .feed :text('delivered')");

    for (const name of ["Bakery", "Ann"])
        await page.seat(name).locator(".cut").click();
    await page.waitForSelector("section.shop .feed .found:has-text('delivered by Ben')");
    await page.waitForSelector("section.seat:has(h2:has-text('Ann')) .feed .found:has-text('Two rye loaves: gone to another driver')");
    await page.post("A clock that ticks");
    await page.waitForSelector("section.driver .parcels li:has-text('A clock that ticks')");
    await page.screenshot({ path: path.join(SHOTS, "parcel-1280.png"), fullPage: true });
    assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "the page is wider than the window");
    assert.deepEqual(page.complaints, []);

    const phone = await open(t, server, { width: 390, height: 844, colorScheme: "dark" });
    await phone.holds("Bakery", "Two rye loaves");
    await phone.screenshot({ path: path.join(SHOTS, "parcel-390-dark.png"), fullPage: true });
    assert.equal(await phone.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "the page is wider than the window");
});
