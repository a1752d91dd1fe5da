// pub, sub, history, snapshot and check against a broker, as one uses them in a shell.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { Broker, Running, run } from "./support/cli.mjs";
import { freePorts } from "./support/tidemark.mjs";

const numbers = (n, first = 0) => Array.from({ length: n }, (_, i) => first + i);
const lines = (values) => values.map((value) => `${JSON.stringify(value)}\n`).join("");

test("what is published is printed by sub, and stays in history", async (t) => {
    const broker = await Broker.start(t);
    const sub = await broker.subscriber("lobby", "--count", "5");
    const before = Date.now();
    const sent = [["{\"text\":\"hé\"}"], ["[1,2]"], ["null"], ["\"x\"", "--key", "k"]];
    for (const [data, ...rest] of sent) {
        const pub = await broker.tidemark("pub", "lobby", "msg", data, ...rest);
        assert.equal(pub.code, 0, pub.err);
        assert.match(pub.out, /^\{"epoch":"[0-9a-f]{16}","seq":\d+\}\n$/);
    }
    const none = await broker.tidemark("pub", "lobby", "bare");
    assert.equal(none.code, 0, none.err);

    const history = await broker.tidemark("history", "lobby");
    assert.equal(history.code, 0, history.err);
    assert.equal(history.err, "");
    const events = history.out.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(events.map(({ seq }) => seq), [1, 2, 3, 4, 5]);
    assert.deepEqual(events.slice(0, 4).map(({ data }) => data), [{ text: "hé" }, [1, 2], null, "x"]);
    assert.deepEqual(events[4].args, []);
    assert.equal(events[3].key, "k");
    for (const { topic, time } of events) {
        assert.equal(topic, "lobby");
        assert.ok(time >= before - 1000 && time <= Date.now() + 1000);
    }
    await sub.kill("SIGTERM");
    assert.deepEqual(sub.events().slice(0, 4), events.slice(0, 4));
});

test("sub ends by itself after --count events", async (t) => {
    const broker = await Broker.start(t);
    await broker.tidemarkWith(lines(numbers(10)), "pub", "a", "n", "-");
    const sub = await broker.tidemark("sub", "a", "--since", "start", "--count", "7");
    assert.equal(sub.code, 0, sub.err);
    assert.deepEqual(sub.out.trim().split("\n").map((line) => JSON.parse(line).data), numbers(7));
});

test("pub - publishes a line at a time in order, and says where each stands", async (t) => {
    const broker = await Broker.start(t);
    const n = 20000;
    const pub = await broker.tidemarkWith(lines(numbers(n)), "pub", "a", "n", "-");
    assert.equal(pub.code, 0, pub.err);
    const stood = pub.out.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(stood.map(({ seq }) => seq), numbers(n, 1));
    const history = await broker.tidemark("history", "a", "--limit", String(2 * n));
    assert.deepEqual(history.out.trim().split("\n").map((line) => JSON.parse(line).data), numbers(n));
});

test("a line that is no JSON is named, the others are published", async (t) => {
    const broker = await Broker.start(t);
    const pub = await broker.tidemarkWith("1\n\n{nonsense\n4", "pub", "a", "n", "-");
    assert.equal(pub.code, 1);
    assert.match(pub.err, /^tidemark pub: line 3: bad_json: .*\n$/);
    assert.equal(pub.out.trim().split("\n").length, 2);
    const history = await broker.tidemark("history", "a");
    assert.deepEqual(history.out.trim().split("\n").map((line) => JSON.parse(line).data), [1, 4]);
});

test("history is read page by page, from a position, and says where it went on", async (t) => {
    const broker = await Broker.start(t);
    const pub = await broker.tidemarkWith(lines(numbers(3000)), "pub", "a", "n", "-");
    const { epoch } = JSON.parse(pub.out.split("\n")[0]);
    const first = await broker.tidemark("history", "a");
    assert.deepEqual(first.out.trim().split("\n").map((line) => JSON.parse(line).data), numbers(100));
    const [, since] = /--since (\w+:\d+)/.exec(first.err);
    assert.equal(since, `${epoch}:100`);
    const rest = await broker.tidemark("history", "a", "--since", since, "--limit", "5000");
    assert.deepEqual(rest.out.trim().split("\n").map((line) => JSON.parse(line).data), numbers(2900, 100));
    assert.equal(rest.err, "");
});

test("sub --since brings history first, then what comes, each once", async (t) => {
    const broker = await Broker.start(t);
    await broker.tidemarkWith(lines(numbers(2500)), "pub", "a/b", "n", "-");
    const pub = broker.running("pub", "a/c", "n", "-");
    let n = 2500;
    const feed = (async () => {
        for (let batch = 0; batch < 40; batch++) {
            await pub.write(lines(numbers(100, n)));
            n += 100;
        }
        pub.child.stdin.end();
        await pub.ended;
    })();
    /* Overlapping on purpose. */
    const sub = await broker.tidemark("sub", "a/#", "a/b", "--since", "start", "--count", "6500");
    await feed;
    assert.equal(sub.code, 0, sub.err);
    const events = sub.out.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(events.map(({ data }) => data), numbers(6500));
    assert.deepEqual(events.map(({ seq }) => seq), numbers(6500, 1));
});

test("snapshot prints what stands, and sub goes on behind it", async (t) => {
    const broker = await Broker.start(t);
    for (let round = 0; round < 3; round++)
        for (const key of ["x", "y", "z"])
            await broker.tidemark("pub", "state/one", "set", `"${key}${round}"`, "--key", key);
    await broker.tidemark("pub", "state/one", "set", "--key", "y");
    await broker.tidemark("pub", "state/one", "said", "1");
    const snapshot = await broker.tidemark("snapshot", "state/#");
    assert.equal(snapshot.code, 0, snapshot.err);
    assert.deepEqual(snapshot.out.trim().split("\n").map((line) => JSON.parse(line).data).sort(), ["x2", "z2"]);
    const { epoch, seq, events, topic } = JSON.parse(snapshot.err).snapshot;
    assert.deepEqual({ seq, events, topic }, { seq: 11, events: 2, topic: "state/#" });
    await broker.tidemark("pub", "state/one", "set", "\"y9\"", "--key", "y");
    const sub = await broker.tidemark("sub", "state/#", "--since", `${epoch}:${seq}`, "--count", "1");
    assert.equal(JSON.parse(sub.out).data, "y9");
    const empty = await broker.tidemark("snapshot", "nothing");
    assert.equal(empty.code, 0);
    assert.equal(empty.out, "");
});

test("g4_an_id_published_again_is_appended_once_also_after_a_restart", async (t) => {
    const broker = await Broker.start(t);
    const input = lines(numbers(500));
    const first = await broker.tidemarkWith(input, "pub", "a", "n", "-", "--id", "import");
    await broker.program.kill("SIGTERM");
    assert.equal(broker.program.code, 0, broker.program.err);
    await broker.restart();
    const again = await broker.tidemarkWith(input, "pub", "a", "n", "-", "--id", "import");
    assert.equal(again.code, 0, again.err);
    assert.equal(again.out, first.out);
    const other = await broker.tidemark("pub", "a", "n", "\"other\"", "--id", "import-7");
    assert.equal(other.code, 1);
    assert.match(other.err, /^tidemark pub: conflict: .*\n$/);
    const history = await broker.tidemark("history", "a", "--limit", "5000");
    assert.equal(history.out.trim().split("\n").length, 500);
});

test("g9_volatile_events_are_printed_and_not_logged", async (t) => {
    const broker = await Broker.start(t);
    const sub = await broker.subscriber("a");
    await broker.tidemark("pub", "a", "meter", "7", "--volatile");
    await sub.until("the volatile event", () => sub.events().length === 1);
    assert.equal(sub.events()[0].data, 7);
    const history = await broker.tidemark("history", "a");
    assert.equal(history.out, "");
});

test("check reports what a log holds, in use, closed and damaged by a kill", async (t) => {
    const broker = await Broker.start(t);
    await broker.tidemarkWith(lines(numbers(1000)), "pub", "a", "n", "-");
    for (const end of [() => {}, () => broker.kill9(), () => {}]) {
        await end();
        const check = await run(t, "tidemark", ["check", broker.data]);
        assert.equal(check.code, 0, check.err + check.out);
        assert.match(check.out, /1,?000/);
    }
    const none = await run(t, "tidemark", ["check", `${broker.data}/nowhere`]);
    assert.equal(none.code, 1);
    assert.notEqual(none.err, "");
});

test("where the broker is away: said once, tried again, given up after --timeout", async (t) => {
    const port = await freePorts(1);
    const endpoint = `tcp://127.0.0.1:${port}`;
    const began = Date.now();
    for (const args of [["pub", "a", "n", "1"], ["history", "a"], ["snapshot", "a"]]) {
        const tried = await run(t, "tidemark", [...args, "--timeout", "1"], { env: { TIDEMARK_BROKER: endpoint } });
        assert.equal(tried.code, 1);
        assert.match(tried.err, /broker_away: tcp:\/\/127\.0\.0\.1:\d+/);
    }
    assert.ok(Date.now() - began < 15000);
});

test("g5_sub_survives_restarts_of_the_broker_without_a_gap_or_a_repeat", async (t) => {
    const broker = await Broker.start(t);
    const sub = await broker.subscriber("a");
    let n = 0;
    for (const how of ["kill9", "SIGTERM", "kill9"]) {
        await broker.tidemarkWith(lines(numbers(500, n)), "pub", "a", "n", "-");
        n += 500;
        await (how === "kill9" ? broker.kill9() : broker.program.kill(how));
        await broker.restart();
        await broker.tidemarkWith(lines(numbers(500, n)), "pub", "a", "n", "-");
        n += 500;
    }
    await sub.until("all events", () => sub.events().length >= n);
    assert.deepEqual(sub.events().map(({ data }) => data), numbers(n));
    assert.doesNotMatch(sub.err, /reset/);
});

test("g5_g8_another_log_and_trimmed_history_are_said_as_a_reset", async (t) => {
    const broker = await Broker.start(t, ["--retain-events", "1000"]);
    await broker.tidemarkWith(lines(numbers(200000)), "pub", "a", "n", "-");
    const trimmed = await broker.tidemark("sub", "a", "--since", "1", "--count", "1");
    const { reset } = JSON.parse(trimmed.err);
    assert.equal(reset.code, "trimmed");
    assert.equal(reset.topic, "a");
    assert.equal(JSON.parse(trimmed.out).seq, reset.seq + 1);

    const sub = new Running(t, "tidemark", broker.with(["sub", "a", "--since", "00000000000000ff:5"]));
    await sub.until("the reset", () => sub.err.includes("\n"));
    assert.equal(JSON.parse(sub.err).reset.code, "epoch_changed");
    await broker.tidemark("pub", "a", "n", "\"new\"");
    await sub.until("the next event", () => sub.events().length === 1);
    assert.equal(sub.events()[0].data, "new");
});
