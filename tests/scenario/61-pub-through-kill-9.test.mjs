// kill -9 and clean stops of the broker while many events are on their way to it.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { Broker, run } from "./support/cli.mjs";
import { isLong } from "./support/tidemark.mjs";

for (const signal of ["SIGKILL", "SIGTERM"]) test(`g2_g4_all_that_pub_sends_through_${signal}_of_the_broker_is_logged_once_in_one_epoch`, async (t) => {
    const broker = await Broker.start(t);
    const pub = broker.running("pub", "a", "n", "-", "--timeout", "60");
    const kills = isLong ? 20 : 4;
    let n = 0;
    const some = async (count) => {
        const from = n;
        n += count;
        await pub.write(Array.from({ length: count }, (_, i) => `${from + i}\n`).join(""));
    };
    await some(1000);
    for (let kill = 0; kill < kills; kill++) {
        const before = pub.lines().length;
        await some(20000);
        /* In the middle: some are acknowledged, some are under way. */
        await pub.until("acknowledgements", () => pub.lines().length > before + 3000);
        await broker.program.kill(signal);
        assert.equal(broker.program.code, signal === "SIGTERM" ? 0 : null, broker.program.err);
        await broker.restart();
    }
    pub.child.stdin.end();
    await pub.ended;
    assert.equal(pub.code, 0, pub.err);

    const stood = pub.events();
    assert.equal(stood.length, n);
    assert.equal(new Set(stood.map(({ epoch }) => epoch)).size, 1, "the log is the same one");
    assert.equal(new Set(stood.map(({ seq }) => seq)).size, n, "each has a place of its own");

    const history = await broker.tidemark("history", "a", "--limit", String(10 * n));
    assert.equal(history.code, 0, history.err);
    const events = history.out.trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(events.length, n, "each was appended once");
    const at = new Map(events.map(({ seq, data }) => [seq, data]));
    stood.forEach(({ seq }, i) => assert.equal(at.get(seq), i, `what was acknowledged at ${seq}`));

    await broker.kill9();
    const check = await run(t, "tidemark", ["check", broker.data]);
    assert.equal(check.code, 0, check.out + check.err);
});
