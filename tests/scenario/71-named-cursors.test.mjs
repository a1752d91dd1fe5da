// Named cursors: whoever comes back under a name, from anywhere and after anything died, gets what was
// not acknowledged, or is told what is gone.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, Collector, comeBack, jsonClient, reader, stockClient, subscribe } from "./support/clients.mjs";
import { anotherGateway, noise, publish, publishMany, publishSurely, random, tidemark, until } from "./support/tidemark.mjs";

/* A stock client that reads a topic by a cursor, in a session of its own. */
async function stockReader(t, where, cursor, options = {}) {
    const socket = await stockClient(t, where, { reconnection: false });
    const collector = new Collector(socket);
    collector.losses = [];
    socket.on("tide:cursor", (loss) => collector.losses.push(loss));
    collector.answer = await subscribe(socket, "a", { meta: true, cursor, ...options });
    collector.leave = () => socket.disconnect();
    /* Durable when this resolves. */
    collector.ack = async (seq) => {
        const answer = await socket.timeout(10000).emitWithAck("tide:ack", { cursor, seq });
        assert.equal(answer.ok, true, JSON.stringify(answer));
    };
    return collector;
}

/* The same over a plain WebSocket. */
async function plainReader(t, server, cursor, options = {}) {
    const client = await jsonClient(t, server);
    const answer = await client.ok({ op: "sub", topic: "a", cursor, ...options });
    return {
        client, answer,
        get events() { return client.events("a").map(({ seq, data }) => ({ seq, n: data?.n })); },
        get ns() { return this.events.map(({ n }) => n); },
        count: (count) => client.count(count, "a"),
        leave: () => client.socket.terminate(),
        ack: async (seq) => {
            client.send({ op: "ack", cursor, seq });
            await until(() => `${seq} to be acknowledged`, async () => (await cursors(server, cursor))[0].seq === seq);
        }
    };
}

/* What `tidemark cursors` says. */
async function cursors(server, name) {
    const { code, out, err } = await server.cli(["cursors", "--broker", server.endpoint]);
    assert.equal(code, 0, err);
    return out.split("\n").slice(0, -1).map((line) => JSON.parse(line)).filter(({ cursor }) => !name || cursor === name);
}

const dialects = [["a stock client", stockReader], ["a plain WebSocket", plainReader]];

for (const [what, open] of dialects) {
    test(`g5_${what} comes back under its name after kill -9 and gets exactly what was not acknowledged`, async (t) => {
        const server = await tidemark(t, { isSeparate: true });
        await publishMany(server, "a", 5, { first: 1000 });
        let one = await open(t, server, "inbox");
        await publishMany(server, "a", 100);
        await one.count(100);
        assertRun(one.ns, 0, 100);
        await one.ack(one.events[59].seq);

        await server.gateway.end("SIGKILL");
        await server.start();
        one = await open(t, server, "inbox");
        await one.count(40);
        assertRun(one.ns, 60, 40);
        await one.ack(one.events[19].seq);
        await publishMany(server, "a", 20, { first: 100 });

        await server.broker.end("SIGKILL");
        await server.start();
        one.leave();
        one = await open(t, server, "inbox");
        await one.count(40);
        assertRun(one.ns, 80, 40);
        await one.ack(one.events[39].seq);

        await server.killAndRestart();
        one = await open(t, server, "inbox");
        await publishMany(server, "a", 3, { first: 120 });
        await one.count(3);
        assertRun(one.ns, 120, 3);
    });

    test(`of two that read by one cursor the later one has it (${what})`, async (t) => {
        const server = await tidemark(t, { isSeparate: true });
        const other = await anotherGateway(t, server);
        const one = await open(t, server, "inbox");
        await publishMany(server, "a", 10);
        await one.count(10);
        const two = await open(t, other, "inbox");
        await two.count(10);

        const { seq } = one.events[9];
        if (one.client)
            one.client.send({ op: "ack", cursor: "inbox", seq });
        else
            one.socket.emit("tide:ack", { cursor: "inbox", seq });
        const told = one.client ? await one.client.take("error") : await until("tide:cursor", () => one.losses[0]);
        assert.deepEqual([told.code, told.cursor], ["conflict", "inbox"]);
        assert.ok((await cursors(server, "inbox"))[0].seq < one.events[0].seq);

        await two.ack(two.events[4].seq);
        one.leave();
        two.leave();
        const three = await open(t, server, "inbox");
        await three.count(5);
        assertRun(three.ns, 5, 5);
    });

    test(`g5_what was trimmed before it was read is said (${what})`, async (t) => {
        const server = await tidemark(t, { broker: ["--retain-events", "1000"] });
        await publish(server, { topic: "a", event: "set", key: "k", data: { stands: true } });
        const one = await open(t, server, "inbox");
        await publishMany(server, "a", 3);
        await one.count(3);
        await one.ack(one.events[0].seq);
        one.leave();
        await until("something to be trimmed", async () => {
            await noise(server, "a", 20_000);
            return (await cursors(server, "inbox"))[0].trimmed;
        }, 120_000);

        for (let round = 0; round < 2; round++) {
            let two, said;
            if (open === plainReader) {
                two = await open(t, server, "inbox");
                said = await two.client.take("reset");
            }
            else {
                const socket = await stockClient(t, server, { reconnection: false });
                const reset = new Promise((resolve) => { socket.once("tide:reset", resolve); });
                await subscribe(socket, "a", { meta: true, cursor: "inbox" });
                said = await reset;
                two = { leave: () => socket.disconnect(), ack: (seq) =>
                    socket.timeout(10000).emitWithAck("tide:ack", { cursor: "inbox", seq }) };
            }
            assert.deepEqual([said.topic, said.code], ["a", "trimmed"]);
            assert.equal(said.state.k.data.stands, true);
            if (round === 1) {
                await two.ack(said.seq);
                const [{ seq, lag }] = await cursors(server, "inbox");
                assert.deepEqual([seq, lag], [said.seq, 0]);
            }
            two.leave();
        }
    });
}

test("a session that is resumed elsewhere reads on where it was, and acknowledges from there", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const one = await reader(t, server, "a", { cursor: "inbox" });
    const ack = (seq) => one.socket.timeout(10000).emitWithAck("tide:ack", { cursor: "inbox", seq });
    await publishMany(server, "a", 10);
    await one.count(10);
    assert.equal((await ack(one.events[4].seq)).ok, true);

    await server.gateway.end("SIGKILL");
    await server.start();
    await comeBack(one, 1);
    assert.equal(one.recoveries, 1);
    await publishMany(server, "a", 10, { first: 10 });
    await one.count(20);
    assertRun(one.ns, 0, 20);
    assert.equal((await ack(one.events[14].seq)).ok, true);

    one.socket.disconnect();
    const two = await stockReader(t, server, "inbox");
    await two.count(5);
    assertRun(two.ns, 15, 5);
});

/* A reader that acknowledges as it goes, and begins anew in another session whenever it is cut. What
   comes first then is behind all that it knows to be acknowledged, and not behind more than it said. */
test("g5_while gateways and brokers die, nothing that was not acknowledged is skipped", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const total = 3000;
    const seen = new Set(), wrong = [];
    let said = -1, durable = -1, comes = 0;
    const isOver = () => durable >= total - 1 || wrong.length > 0;

    async function publishAll() {
        for (let n = 0; n < total; n += 50)
            await publishSurely(server, Array.from({ length: 50 }, (_, i) => ({ topic: "a", event: "wave", data: { n: n + i }, id: `n${n + i}` })));
    }

    async function killThem() {
        for (const what of ["gateway", "broker", "gateway", "broker"]) {
            const before = seen.size;
            await until(() => `progress beyond ${before} events`, () => seen.size > before + 100 || isOver(), 60_000);
            await server[what].end("SIGKILL");
            await server.start();
        }
    }

    async function readOnce() {
        const socket = await stockClient(t, server);
        const gone = new Promise((resolve) => { socket.once("disconnect", resolve); });
        const [lowest, highest] = [durable + 1, said + 1];
        let last = null;
        socket.on("wave", ({ n }, { seq }) => {
            if (last === null ? n < lowest || n > said + 1 : n !== last + 1)
                wrong.push(`${n} came after ${last}; ${lowest - 1} was acknowledged, ${highest - 1} said to be`);
            last = n;
            seen.add(n);
            if (random(20) > 0 && n < total - 1)
                return;
            said = Math.max(said, n);
            socket.emit("tide:ack", { cursor: "inbox", seq }, (answer) => {
                if (answer.ok)
                    durable = Math.max(durable, n);
            });
        });
        socket.emit("tide:subscribe", { topic: "a", meta: true, cursor: "inbox", since: "start" }, () => {});
        await Promise.race([gone, until(() => `the end (${seen.size}, ${durable})`, isOver, 120_000)]);
        socket.disconnect();
    }

    const others = Promise.all([publishAll(), killThem()]);
    while (!isOver()) {
        assert.ok(++comes < 50, `${comes} connections, ${seen.size} events`);
        await readOnce();
    }
    await others;
    assert.deepEqual(wrong, []);
    assert.equal(seen.size, total);
    assert.equal((await cursors(server, "inbox"))[0].lag, 0);
});

test("tidemark cursors lists them with their lag, and removes them", async (t) => {
    const server = await tidemark(t);
    assert.deepEqual(await cursors(server), []);
    const one = await plainReader(t, server, "in/box #1");
    const many = await jsonClient(t, server);
    await many.ok({ op: "sub", topic: "b/#", cursor: "many", since: "start" });
    await many.ok({ op: "sub", topic: "c", cursor: "snap", since: "snapshot" });
    await publishMany(server, "a", 3);
    await one.count(3);
    await one.ack(one.events[0].seq);
    await publishMany(server, "b/x", 1500);
    const listed = await cursors(server);
    assert.deepEqual(listed.map(({ cursor }) => cursor).sort(), ["in/box #1", "many", "snap"]);
    const [inbox] = listed.filter(({ cursor }) => cursor === "in/box #1");
    assert.deepEqual([inbox.topics, inbox.seq, inbox.lag, inbox.epoch, inbox.more],
        [["a"], one.events[0].seq, 2, one.answer.epoch, undefined]);
    const [lagging] = listed.filter(({ cursor }) => cursor === "many");
    assert.deepEqual([lagging.topics, lagging.seq, lagging.more], [["b/#"], 0, true]);
    assert.ok(lagging.lag >= 1 && lagging.lag <= 1000);
    assert.equal(listed.find(({ cursor }) => cursor === "snap").snapshot, true);

    const run = (...args) => server.cli(["cursors", "--broker", server.endpoint, ...args]);
    const removed = await run("--remove", "in/box #1");
    assert.equal(removed.code, 0, removed.err);
    assert.deepEqual(JSON.parse(removed.out), { cursor: "in/box #1", removed: true });
    assert.deepEqual((await cursors(server)).map(({ cursor }) => cursor).sort(), ["many", "snap"]);
    one.client.send({ op: "ack", cursor: "in/box #1", seq: one.events[2].seq });
    const told = await one.client.take("error");
    assert.deepEqual([told.code, told.cursor], ["not_found", "in/box #1"]);

    for (const args of [["--remove", "in/box #1"], ["--remove", "many", "--user", "ann"]]) {
        const { code, out, err } = await run(...args);
        assert.equal(code, 1);
        assert.equal(out, "");
        assert.match(err, /^tidemark cursors: not_found: there is no cursor .*\n$/);
    }
    for (const args of [["--remove", ""], ["--remove", "x".repeat(65)], ["--user", "ann"], ["name"], ["--delete", "x"],
                        ["--remove", "x", "--user", "u\n"], ["--remove", "x".repeat(64), "--user", "u".repeat(200)]]) {
        const { code, err } = await run(...args);
        assert.equal(code, 2, args.join(" "));
        assert.match(err, /^tidemark cursors: .*\n$/);
    }
});

test("a position of another log is told by the list, and bridged by a snapshot", async (t) => {
    const server = await tidemark(t, { broker: ["--memory"], isSeparate: true });
    const one = await plainReader(t, server, "inbox");
    await publishMany(server, "a", 10);
    await one.count(10);
    await one.ack(one.events[9].seq);
    await server.broker.end("SIGKILL");
    await server.start();
    const reset = await one.client.take("reset");
    assert.equal(reset.code, "epoch_changed");
    const [{ code, epoch, lag }] = await cursors(server, "inbox");
    assert.deepEqual([code, epoch, lag], ["epoch_changed", one.answer.epoch, undefined]);
    one.leave();
    const two = await plainReader(t, server, "inbox");
    const again = await two.client.take("reset");
    assert.equal(again.code, "epoch_changed");
    await two.ack(again.seq);
    two.leave();
    await publishMany(server, "a", 2);
    const three = await plainReader(t, server, "inbox");
    await three.count(2);
    assertRun(three.ns, 0, 2);
});

const long = (n) => "x".repeat(n);
const refused = [
    ["a cursor that is a number", { topic: "b", cursor: 7 }, "bad_request"],
    ["a cursor that is null", { topic: "b", cursor: null }, "bad_request"],
    ["a cursor that is a list", { topic: "b", cursor: ["c"] }, "bad_request"],
    ["an empty name", { topic: "b", cursor: "" }, "bad_request"],
    ["a long name", { topic: "b", cursor: long(65) }, "bad_request"],
    ["a name with a line end", { topic: "b", cursor: "a\nb" }, "bad_request"],
    ["a name with a NUL", { topic: "b", cursor: "a\0b" }, "bad_request"],
    ["a cursor of the system's", { topic: "$cursor/#", cursor: "c" }, "forbidden"],
    ["a cursor of no topic", { cursor: "c" }, "bad_topic"],
    ["a cursor since nonsense", { topic: "b", cursor: "c", since: "yesterday" }, "bad_request"],
    ["a cursor that reads something else", { topic: "b", cursor: "inbox" }, "conflict"],
    ["a cursor of another session that reads something else", { topic: "b", cursor: "elsewhere" }, "conflict"]
];
const notAcknowledged = [
    ["an ack of no cursor", { seq: 1 }, "bad_request"],
    ["an ack of a cursor that is a number", { cursor: 1, seq: 1 }, "bad_request"],
    ["an ack without seq", { cursor: "inbox" }, "bad_request"],
    ["an ack of less than nothing", { cursor: "inbox", seq: -1 }, "bad_request"],
    ["an ack of a fraction", { cursor: "inbox", seq: 1.5 }, "bad_request"],
    ["an ack of a word", { cursor: "inbox", seq: "last" }, "bad_request"],
    ["an ack of what was not delivered", { cursor: "inbox", seq: 1_000_000 }, "bad_request"],
    ["an ack of what can never be", { cursor: "inbox", seq: Number.MAX_SAFE_INTEGER }, "bad_request"],
    ["an ack with an epoch that is none", { cursor: "inbox", seq: 1, epoch: 7 }, "bad_request"],
    ["an ack of another log", { cursor: "inbox", seq: 1, epoch: "00000000000000ab" }, "epoch_changed"],
    ["an ack of another log in one", { cursor: "inbox", seq: "00000000000000ab:1" }, "epoch_changed"],
    ["an ack of a cursor that is not read by", { cursor: "elsewhere", seq: 1 }, "not_found"],
    ["an ack of a cursor that is none", { cursor: long(1000), seq: 1 }, "not_found"]
];

test("every wrong subscription and acknowledgement is refused by name, and the others go on", async (t) => {
    const server = await tidemark(t);
    await plainReader(t, server, "elsewhere");
    const stock = await stockReader(t, server, "inbox");
    const wrong = [];
    const note = (what, answer, code) => {
        if (answer?.code !== code || !answer.message)
            wrong.push(`${what}: ${JSON.stringify(answer)}`);
    };
    for (const [what, message, code] of refused)
        note(what, await stock.socket.timeout(5000).emitWithAck("tide:subscribe", message), code);
    for (const [what, message, code] of notAcknowledged)
        note(what, await stock.socket.timeout(5000).emitWithAck("tide:ack", message), code);
    await publishMany(server, "a", 1);
    await stock.count(1);
    await stock.ack(stock.events[0].seq);
    stock.leave();
    const plain = await plainReader(t, server, "inbox");
    for (const [what, message, code] of refused)
        note(what, await plain.client.ask({ op: "sub", ...message }), code);
    for (const [what, message, code] of notAcknowledged)
        note(what, await plain.client.ask({ op: "ack", ...message }), code);
    assert.deepEqual(wrong, []);
    await publishMany(server, "a", 1, { first: 1 });
    await plain.count(1);
    await plain.ack(plain.events[0].seq);
    assert.deepEqual(plain.ns, [1]);
    assert.equal((await server.get("/events?topic=a&cursor=inbox")).status, 400);
});
