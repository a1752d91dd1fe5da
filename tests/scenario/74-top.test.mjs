// `tidemark top`: one picture for scripts, a live one in a terminal, and what it says when the broker goes.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { Broker, Running, run } from "./support/cli.mjs";
import { jsonClient, stockClient, subscribe } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { anotherGateway, BIN, freePorts, publish, tidemark, until } from "./support/tidemark.mjs";
import { workers } from "./support/workers.mjs";

/* A table of the picture: {name: {HEAD: text}}. */
function table(picture, title) {
    const lines = picture.split("\n");
    const at = lines.findIndex((line) => line.startsWith(`${title} `));
    assert.ok(at >= 0, `no ${title} in\n${picture}`);
    const heads = lines[at].slice(title.length).trim().split(/\s{2,}/);
    const rows = {};
    for (const line of lines.slice(at + 1)) {
        if (line === "" || /^ {2}and \d+ more$/.test(line))
            break;
        const words = line.split(/\s+/), cells = words.slice(-heads.length);
        rows[words.slice(0, -heads.length).join(" ")] =
            Object.fromEntries(heads.map((head, column) => [head, cells[column]]));
    }
    return rows;
}

test("one picture shows what there is, and how fast it goes", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const other = await anotherGateway(t, server);
    await workers(t, server, 2);
    const socket = await stockClient(t, server);
    const clients = await Promise.all([1, 2].map(() => jsonClient(t, other)));
    await Promise.all(clients.map((client) => client.ok({ op: "sub", topic: "busy" })));
    await subscribe(socket, "busy");
    await clients[0].ok({ op: "sub", topic: "lamps", since: "start", cursor: "slow" });
    await clients[1].ok({ op: "sub", topic: "lamps", since: "start", cursor: "fast" });
    await publish(server, [1, 2, 3].map((key) => ({ topic: "lamps", event: "set", key: `${key}`, data: key })));

    await clients[1].count(3, "lamps");
    clients[1].send({ op: "ack", cursor: "fast", seq: clients[1].events("lamps")[1].seq });
    await until("the acknowledgement to be durable", async () =>
        /"cursor":"fast".*"lag":1,/.test((await server.cli(["cursors", "--broker", server.endpoint])).out));

    let isOver = false;
    const noise = (async () => {
        while (!isOver) {
            await publish(server, { topic: "busy", event: "n", data: 1 });
            await socket.timeout(10000).emitWithAck("count", 1);
        }
    })();
    const { code, out, err } = await server.cli(["top", "--broker", server.endpoint, "--once"]);
    isOver = true;
    await noise;
    assert.equal(code, 0, err);
    assert.equal(err, "");
    assert.doesNotMatch(out, /\x1b/);
    const { epoch } = (await server.get("/api/v1/topics")).json;
    assert.match(out, new RegExp(`^tidemark top {3}tcp://127.0.0.1:\\d+ {3}epoch ${epoch} {3}head \\d+\n`));
    assert.match(out, /\nclients {4}3 at 2 gateways, \d+ behind {3}workers 2 {3}calls [\d.]+\/s/);
    assert.match(out, /\nevents {5}[1-9][\d.k]*\/s /);

    const topics = table(out, "TOPIC");
    assert.equal(topics.lamps.KEYS, "3");
    assert.equal(topics.lamps.EVENTS, "3");
    assert.equal(topics.lamps["EVENTS/s"], "0");
    assert.ok(Number(topics.busy["EVENTS/s"]) > 0, out);
    assert.equal(topics.busy.KEYS, "0");
    assert.ok(Number(topics["$call/#"]["EVENTS/s"]) > 0, out);
    const gateways = table(out, "GATEWAY");
    const here = Object.keys(gateways).find((name) => name.endsWith(`:${server.port}`));
    const there = Object.keys(gateways).find((name) => name.endsWith(`:${other.port}`));
    assert.equal(Object.keys(gateways).length, 2);
    assert.equal(gateways[here].CLIENTS, "1");
    assert.equal(gateways[there].CLIENTS, "2");
    assert.ok(Number(gateways[there]["OUT/s"]) > 0, out);
    assert.ok(Number(gateways[here]["IN/s"]) > 0 && Number(gateways[here]["CALLS/s"]) > 0, out);
    assert.equal(gateways[there]["CALLS/s"], "0");
    assert.deepEqual(table(out, "CURSOR"), { slow: { LAG: "3" }, fast: { LAG: "1" } });
    assert.equal(table(out, "SERVICE").test.WORKERS, "2");
    assert.equal(await server.metric("tidemark_broker_service_workers"), 2);
});

test("an empty broker has a picture as well, and it writes nothing", async (t) => {
    const broker = await Broker.start(t);
    const { code, out } = await broker.tidemark("top", "--once");
    assert.equal(code, 0);
    assert.match(out, /no gateway has told of itself/);
    assert.match(out, /there are no topics yet/);
    assert.match(out, /head 0\n/);
    const history = await broker.tidemark("history", "#");
    assert.equal(history.out, "");
});

test("names are shown so that no terminal obeys them", async (t) => {
    const broker = await Broker.start(t);
    await broker.tidemark("pub", "a\u009b2Jb", "n", "1");
    await broker.tidemark("pub", "größe/" + "x".repeat(200), "n", "1");
    const { code, out } = await broker.tidemark("top", "--once");
    assert.equal(code, 0);
    assert.ok(table(out, "TOPIC")["a?2Jb"], out);
    for (const line of out.split("\n"))
        assert.ok([...line].length <= 120, line);
});

test("what is asked wrongly, or of nobody, is told", async (t) => {
    const port = await freePorts(1);
    const broker = ["--broker", `tcp://127.0.0.1:${port}`];
    const away = await run(t, "tidemark", ["top", "--once", "--timeout", "1", ...broker]);
    assert.equal(away.code, 1);
    assert.match(away.err, /broker_away: .* did not answer for 1 s\n$/);
    assert.equal(away.out, "");
    for (const args of [["topic"], ["--since", "1"], ["--once", "--timeout", "none"]]) {
        const { code, err } = await run(t, "tidemark", ["top", ...args]);
        assert.equal(code, 2, err);
        assert.equal(err.split("\n").length, 2, err);
    }
    const help = await run(t, "tidemark", ["top", "--help"]);
    assert.equal(help.code, 0);
    assert.match(help.out, /--once/);
});

/* In a terminal of that size, of which all that is written is kept. Its ctrl-c is for the shell as well, which
   is to outlive it, whichever shell it is. */
function inTerminal(t, endpoint, { rows = 20, columns = 90 } = {}) {
    const command = `trap : INT; stty rows ${rows} cols ${columns}; '${BIN}/tidemark' top --broker ${endpoint}; echo "status $?"; stty -a`;
    const terminal = new Running(t, "/usr/bin/script", ["-qfc", command, "/dev/null"], { TERM: "xterm" });
    /* What stands on the screen, as each picture begins at its top. */
    terminal.screen = () => terminal.out.split("\x1b[H").at(-1).replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
    return terminal;
}

function assertRestored(terminal, status = 0) {
    assert.match(terminal.out, /\x1b\[\?1049h\x1b\[\?25l/);
    const after = terminal.out.slice(terminal.out.indexOf("\x1b[?25h\x1b[?1049l"));
    assert.match(after, new RegExp(`status ${status}`));
    assert.match(after, / icanon/);
    assert.match(after, / echo /);
    return after;
}

test("in a terminal it goes on until q, through kill -9 of the broker, and fits", async (t) => {
    const broker = await Broker.start(t);
    for (let n = 0; n < 30; n++)
        await broker.tidemark("pub", `topic/${n}`, "n", "1");
    const top = inTerminal(t, broker.endpoint, { rows: 15, columns: 60 });
    await top.until("topics", () => /topic\/29 /.test(top.screen()));
    await broker.tidemark("pub", "new", "n", "1");
    await top.until("what is new, first", () => /TOPIC[^\n]*\n\s*new /.test(top.screen()));
    const picture = top.screen().split("\r\n");
    assert.ok(picture.length <= 15, picture.join("\n"));
    for (const line of picture)
        assert.ok(line.length <= 60, line);
    await broker.kill9();
    await top.until("the broker to be missed", () => /^tidemark top {3}THE BROKER IS AWAY {3}tcp:/.test(top.screen()));
    await broker.restart();
    await broker.tidemark("pub", "newest", "n", "1");
    await top.until("it to go on", () => /TOPIC[^\n]*\n\s*newest /.test(top.screen()));
    await top.write("x"); // which is nothing to it
    await top.write("q");
    await top.ended;
    assertRestored(top);
});

test("ctrl-c ends it and leaves the terminal as it was", async (t) => {
    const broker = await Broker.start(t);
    const top = inTerminal(t, broker.endpoint);
    await top.until("the picture", () => /there are no topics yet/.test(top.screen()));
    await top.write("\x03");
    await top.ended;
    assertRestored(top);
});

test("why the broker refuses it is told when the terminal is as it was", async (t) => {
    const broker = await Broker.start(t);
    const between = await proxy(t, broker);
    between.falsify = (bytes) => { // the hello's protocol version
        const at = bytes.indexOf("TM\x01\x01");
        if (at >= 0)
            bytes[at + 2] = 2;
        return bytes;
    };
    const top = inTerminal(t, `tcp://127.0.0.1:${between.port}`);
    await top.ended;
    assert.match(assertRestored(top, 1), /tidemark top: the broker refuses: protocol version 2 is not spoken here[^\n]*\r\nstatus 1/);
});

test("another log under it is taken for what it is", async (t) => {
    const broker = await Broker.start(t, ["--memory"]);
    await broker.tidemark("pub", "before", "n", "1");
    const top = inTerminal(t, broker.endpoint);
    await top.until("the topic", () => /before /.test(top.screen()));
    await broker.kill9();
    await broker.restart();
    await broker.tidemark("pub", "after", "n", "1");
    await until("the other log's", () => /after /.test(top.screen()) && !/before /.test(top.screen()));
    await top.write("q");
    await top.ended;
    assertRestored(top);
});
