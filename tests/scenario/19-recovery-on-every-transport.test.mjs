// Recovery where the client does not begin on WebSocket: cuts while it polls, while it upgrades, while
// what it missed is being replayed. Nothing is lost, nothing comes twice, each reconnect is recovered.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun, comeBack, connected, reader } from "./support/clients.mjs";
import { Link, Place, TRANSPORTS } from "./support/conformance.mjs";
import { proxy } from "./support/proxy.mjs";
import { publishMany, random, tidemark, until } from "./support/tidemark.mjs";

const WAYS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

/* A client that is cut between pausing its polling and being on WebSocket notices by the heartbeat only. */
const PINGS = ["--ping-interval", "1000", "--ping-timeout", "1500"];

/* Cuts until the client has noticed: between two polls there is nothing to cut. */
async function cut(between, one) {
    const { connects } = one;
    await until("the client to notice the cut", () => {
        if (one.socket.connected && one.connects === connects)
            between.cut();
        return !one.socket.connected || one.connects > connects;
    });
}

for (const [way, transports] of Object.entries(WAYS)) {
    const client = { transports };

    test(`g1_1500_events_over_15_cuts_all_come_once_in_order_over_${way}`, async (t) => {
        const server = await tidemark(t, { gateway: PINGS });
        const between = await proxy(t, server);
        const one = await reader(t, between, "a", { client });
        for (let round = 0; round < 15; round++) {
            const at = random(10);
            for (let batch = 0; batch < 10; batch++) {
                if (batch === at)
                    await cut(between, one);
                await publishMany(server, "a", 10, { first: round * 100 + batch * 10 });
            }
            await comeBack(one, round + 1);
        }
        await one.count(1500);
        assertRun(one.ns, 0, 1500);
        assertRising(one.events.map((event) => event.seq));
        assert.equal(one.recoveries, one.connects, "a reconnect was not recovered");
        assert.equal(one.socket.id, one.sid);
    });

    test(`g1_cuts_in_the_middle_of_a_replay_over_${way}`, async (t) => {
        const server = await tidemark(t, { gateway: PINGS });
        const between = await proxy(t, server);
        const one = await reader(t, between, "a", { client });
        await publishMany(server, "a", 1);
        await one.count(1);
        between.isOpen = false;
        await cut(between, one);
        await publishMany(server, "a", 4000, { first: 1, extra: { text: "x".repeat(300) } });
        between.isOpen = true;
        for (let round = 1; round <= 4; round++) {
            await one.count(Math.min(4001, round * 700));
            await cut(between, one);
        }
        await connected(one.socket);
        await one.count(4001);
        assertRun(one.ns, 0, 4001);
        assert.equal(one.recoveries, one.connects);
    });

    test(`g5_a_client_that_has_had_no_event_yet_is_recovered_over_${way}`, async (t) => {
        const server = await tidemark(t, { gateway: PINGS });
        const between = await proxy(t, server);
        const one = await reader(t, between, "a", { client });
        between.isOpen = false;
        await cut(between, one);
        await publishMany(server, "a", 3);
        between.isOpen = true;
        await comeBack(one, 1);
        await one.count(3);
        assertRun(one.ns, 0, 3);
        assert.equal(one.recoveries, 1);
    });

    test(`g5_a_half_open_connection_is_taken_over_over_${way}`, async (t) => {
        const server = await tidemark(t, { gateway: PINGS });
        const between = await proxy(t, server);
        const one = await reader(t, between, "a", { client });
        await publishMany(server, "a", 5);
        await one.count(5);
        const end = between.stall();
        await publishMany(server, "a", 5, { first: 5 });
        one.socket.io.engine.close();
        await comeBack(one, 1);
        assert.equal(one.recoveries, 1);
        await one.count(10);
        end();
        await publishMany(server, "a", 5, { first: 10 });
        await one.count(15);
        assertRun(one.ns, 0, 15);
        assert.equal(one.connects, 1, "the late end broke the new connection");
    });
}

test("g1_cuts_in_the_middle_of_an_upgrade", async (t) => {
    const server = await tidemark(t, { gateway: PINGS });
    const between = await proxy(t, server);
    const one = await reader(t, between, "a", { client: { transports: WAYS.upgrade } });
    const stages = ["soon after opening", "probed", "upgraded"];
    let stage, n = 0, cuts = 0;
    /* Cuts the connection when its next upgrade has come so far. */
    one.socket.io.on("open", () => {
        const { engine } = one.socket.io;
        const reach = (name) => {
            if (name !== stage || engine !== one.socket.io.engine)
                return;
            stage = undefined;
            cuts++;
            between.cut();
        };
        if (stage === "soon after opening")
            setTimeout(() => reach("soon after opening"), random(15));
        engine.once("upgrading", () => reach("probed"));
        engine.once("upgrade", () => reach("upgraded"));
    });
    for (let round = 0; round < 12; round++) {
        stage = stages[round % stages.length];
        const before = cuts;
        await cut(between, one);
        await until(() => `a cut while ${stage}`, async () => {
            await publishMany(server, "a", 5, { first: n });
            n += 5;
            return cuts > before;
        });
        await connected(one.socket);
    }
    await publishMany(server, "a", 5, { first: n });
    n += 5;
    await one.count(n);
    assertRun(one.ns, 0, n);
    assert.equal(one.recoveries, one.connects);
});

/* The stock client keeps events that come before CONNECT, and keeps them over a cut: were they sent
   first, and the connection cut in between, it would hand them to the page twice. */
for (const transport of TRANSPORTS)
    test(`g1_what_was_missed_comes_behind_connect_never_before_it_over_${transport}`, async (t) => {
        const server = await tidemark(t);
        const place = new Place(server.url, "/socket.io/");
        const first = await Link.open(t, place, transport);
        first.send("0");
        const { pid, sid } = JSON.parse((await first.next()).slice(1));
        first.send('20["tide:subscribe",{"topic":"a"}]');
        assert.match(await first.next(), /^30\[\{"ok":true/);
        await publishMany(server, "a", 1);
        const offset = JSON.parse((await first.next()).slice(1)).at(-1);
        assert.equal(typeof offset, "string");
        first.end();
        await publishMany(server, "a", 20, { first: 1 });
        const second = await Link.open(t, place, transport);
        second.send(`0${JSON.stringify({ pid, offset })}`);
        const answer = await second.next();
        assert.deepEqual([answer[0], JSON.parse(answer.slice(1))], ["0", { sid, pid }]);
        for (let n = 1; n <= 20; n++)
            assert.equal(JSON.parse((await second.next()).slice(1))[1].n, n);
    });
