// Two gateways on one broker behind a balancer that knows nothing of sessions: requests of one client
// reach now this, now that one, an upgrade arrives where the session is not, and one gateway is killed.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";

import { balancer } from "./support/balancer.mjs";
import { assertRising, assertRun, connected, reader } from "./support/clients.mjs";
import { Place, Polling, probe } from "./support/conformance.mjs";
import { anotherGateway, publishMany, publishSurely, tidemark, until, wait } from "./support/tidemark.mjs";

const WAYS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

async function pair(t, gateway = []) {
    const one = await tidemark(t, { isSeparate: true, gateway });
    const other = await anotherGateway(t, one, gateway);
    return { one, other, between: await balancer(t, one, other) };
}

/* Readers of one topic on every transport, each request on a connection of its own or not. */
async function readers(t, between, topic) {
    const all = [];
    for (const [way, transports] of Object.entries(WAYS))
        for (const isKept of way === "websocket" ? [false] : [false, true]) {
            const agent = isKept ? new http.Agent({ keepAlive: true }) : false;
            t.after(() => agent && agent.destroy());
            for (let i = 0; i < 2; i++) {
                const self = await reader(t, between, topic, { client: { transports, agent } });
                self.name = `${way}, ${isKept ? "keep-alive" : "close"}`;
                all.push(self);
            }
        }
    return all;
}

test("g1_clients_whose_requests_reach_both_gateways_in_turn_stay_connected_and_miss_nothing", async (t) => {
    const { one, other, between } = await pair(t);
    const all = await readers(t, between, "a");
    for (let n = 0; n < 300; n += 5) {
        await publishMany(n % 2 ? one : other, "a", 5, { first: n });
        await wait(5);
    }
    for (const self of all) {
        await self.count(300);
        assertRun(self.ns, 0, 300, self.name);
        assert.equal(self.connects, 0, `${self.name}: was cut off`);
        assert.equal(self.socket.io.engine.transport.name, self.name.startsWith("polling") ? "polling" : "websocket");
    }
    assert.ok([...between.taken.values()].every((count) => count > 10), "the balancer went to one only");
});

test("g5_one_gateway_killed_9_meanwhile_and_started_again", async (t) => {
    // A client whose upgrade the kill interrupts notices by the heartbeat only.
    const { one, other, between } = await pair(t, ["--ping-interval", "1000", "--ping-timeout", "1500"]);
    const all = await readers(t, between, "a");
    let n = 0;
    for (const [victim, survivor] of [[other, one], [one, other]]) {
        for (const isDown of [false, true]) {
            if (isDown)
                await victim.gateway.end("SIGKILL");
            for (let i = 0; i < 30; i++, n++) {
                await publishSurely(survivor, { topic: "a", event: "wave", data: { n }, id: `n ${n}` });
                await wait(5);
            }
        }
        for (const self of all)
            await connected(self.socket);
        victim.gateway.start();
        await victim.ready();
    }
    await publishMany(one, "a", 10, { first: n });
    n += 10;
    for (const self of all) {
        await self.count(n);
        assertRun(self.ns, 0, n, self.name);
        assertRising(self.events.map(({ seq }) => seq), self.name);
        assert.equal(self.recoveries, self.connects, `${self.name}: a reconnect was not recovered`);
    }
});

/* -- request by request ----------------------------------------------------------------------- */

const places = ({ one, other }) => [one, other].map(({ url }) => new Place(url, "/socket.io/"));

/* The next packet that is no ping, asked for at the gateways in turn. */
async function next(session, both) {
    for (let turn = 0; ; turn++) {
        session.place = both[turn % 2];
        const packet = await session.next();
        if (packet !== "6")
            return packet;
    }
}

test("a session that is opened here is polled, posted to and upgraded there", async (t) => {
    const both = places(await pair(t));
    for (const [here, there] of [both, [...both].reverse()]) {
        const session = await Polling.open(here);
        session.place = there;
        assert.equal((await session.say("40")).body, "ok");
        assert.match(await next(session, both), /^40\{"sid":/);
        for (let i = 0; i < 10; i++) {
            session.place = both[i % 2];
            assert.equal((await session.say(`42${i}["tide:publish",{"topic":"a","event":"e","data":${i}}]`)).body, "ok");
            session.place = both[(i >> 1) % 2];
            assert.match(await session.next(), new RegExp(`^43${i}\\[\\{"ok":true`));
        }
        session.place = there;
        const frames = await probe(t, session);
        frames.send("5");
        frames.send('4299["tide:publish",{"topic":"a","event":"e","data":99}]');
        assert.match(await frames.next(), /^4399\[\{"ok":true/);
        for (const place of both) {
            session.place = place;
            assert.equal((await session.poll()).status, 400);
        }
        frames.send('4298["tide:publish",{"topic":"a","event":"e","data":98}]');
        assert.match(await frames.next(), /^4398\[\{"ok":true/);
    }
});

test("a poll that waits here is answered when the upgrade begins there, and the messages keep their order", async (t) => {
    const both = places(await pair(t));
    for (const [here, there] of [both, [...both].reverse()]) {
        const session = await Polling.open(here);
        await session.say("40");
        await next(session, both);
        session.place = here;
        const waiting = session.get();
        await waiting.onServer;
        await wait(20);
        session.place = there;
        const frames = await probe(t, session);
        assert.equal((await waiting.answer).body, "6");
        session.place = here;
        assert.equal((await session.say('421["tide:publish",{"topic":"a","event":"e","data":1}]')).body, "ok");
        frames.send("5");
        frames.send('422["tide:publish",{"topic":"a","event":"e","data":2}]');
        assert.match(await frames.next(), /^431\[\{"ok":true/);
        assert.match(await frames.next(), /^432\[\{"ok":true/);
    }
});

test("the rule of one poll at a time, and the end of a session, hold over both gateways", async (t) => {
    const [here, there] = places(await pair(t));
    const double = await Polling.open(here);
    const first = double.get();
    await first.onServer;
    await wait(20);
    double.place = there;
    assert.ok([400, 500].includes((await double.poll()).status));
    assert.equal((await first.answer).body, "1");
    assert.equal(await double.isGone(), true);

    const closed = await Polling.open(here);
    const waiting = closed.get();
    await waiting.onServer;
    await wait(20);
    closed.place = there;
    assert.equal((await closed.say("1")).body, "ok");
    assert.equal((await waiting.answer).body, "6");
    for (const place of [here, there]) {
        closed.place = place;
        assert.equal(await closed.isGone(), true);
    }
});

test("the sid of a gateway that is dead is unknown at the others, soon", async (t) => {
    const { one, other } = await pair(t);
    const [here, there] = places({ one, other });
    const session = await Polling.open(here);
    await one.gateway.end("SIGKILL");
    session.place = there;
    const begin = performance.now();
    const answer = await session.poll();
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).code, 1);
    assert.ok(performance.now() - begin < 10000, `${performance.now() - begin} ms`);
    one.mayBeDown = true;
    await until("the other one to serve", async () => (await other.get("/readyz")).status === 200);
});
