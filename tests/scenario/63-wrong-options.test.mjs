// What is asked wrongly is said in one line that names it, with exit status 2.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { Broker, run } from "./support/cli.mjs";
import { freePorts } from "./support/tidemark.mjs";

const wrong = [
    ["tidemark", [], /command/],
    ["tidemark", ["nonsense"], /"nonsense"/],
    ["tidemark", ["bench"], /bench is not available/],
    ["tidemark", ["serve", "--retain-ages", "1"], /--retain-ages/],
    ["tidemark", ["serve", "--tls-cert", "x"], /--tls-cert is not available in this version/],
    ["tidemark", ["serve", "--config", "/nowhere/at/all"], /\/nowhere\/at\/all/],
    ["tidemark", ["serve", "--broker", "tcp://0.0.0.0:7400"], /--insecure/],
    ["tidemark-broker", ["--sync", "never"], /--sync/],
    ["tidemark-broker", ["--listen", "127.0.0.1:1"], /--listen/],
    ["tidemark-gateway", ["--data", "x"], /--data/],
    ["tidemark-gateway", ["--listen", "nowhere"], /"nowhere"/],
    ["tidemark", ["pub", "a"], /missing/],
    ["tidemark", ["pub", "a", "b", "1", "2"], /"2"/],
    ["tidemark", ["sub"], /missing/],
    ["tidemark", ["sub", "a", "--since", "yesterday"], /"yesterday"/],
    ["tidemark", ["sub", "a/#/b"], /bad_topic/],
    ["tidemark", ["history", "a", "--limit", "0"], /--limit/],
    ["tidemark", ["check"], /missing/],
];

for (const [program, args, saying] of wrong) {
    test(`${program} ${args.join(" ")}`, async (t) => {
        const { code, out, err } = await run(t, program, args);
        assert.equal(code, 2, err);
        assert.match(err, saying);
        assert.equal(err.split("\n").length, 2, `not one line:\n${err}`);
        assert.equal(out, "");
    });
}

test("a wrong value in the environment and an unknown name in a file are named", async (t) => {
    const env = await run(t, "tidemark-broker", [], { env: { TIDEMARK_RETAIN_AGE: "week" } });
    assert.equal(env.code, 2);
    assert.match(env.err, /^.*TIDEMARK_RETAIN_AGE.*"week"\n$/);
    const folder = await mkdtemp(path.join(os.tmpdir(), "tidemark-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = path.join(folder, "tidemark.zpl");
    await writeFile(file, "retain-age = 60\nretain-aeg = 60\n");
    const unknown = await run(t, "tidemark-broker", ["--config", file]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /^.*tidemark\.zpl.*"retain-aeg"\n$/);
});

test("--help and --version work everywhere", async (t) => {
    for (const [program, ...args] of [["tidemark"], ["tidemark", "serve"], ["tidemark", "pub"], ["tidemark", "sub"],
                                      ["tidemark", "snapshot"], ["tidemark", "history"], ["tidemark", "check"],
                                      ["tidemark-broker"], ["tidemark-gateway"]]) {
        const help = await run(t, program, [...args, "--help"]);
        assert.equal(help.code, 0);
        assert.ok(help.out.includes([program, ...args].join(" ")));
        assert.equal(help.err, "");
        const version = await run(t, program, [...args, "--version"]);
        assert.equal(version.code, 0);
        assert.match(version.out, /^tidemark \d+\.\d+\.\d+\n$/);
    }
});

test("an address or a log that is taken is named, with exit status 1", async (t) => {
    const broker = await Broker.start(t);
    const port = await freePorts(3);
    const same = await run(t, "tidemark-broker", ["--broker", broker.endpoint, "--memory"]);
    assert.equal(same.code, 1);
    assert.match(same.err, new RegExp(`${broker.endpoint}.*in use`));
    const log = await run(t, "tidemark-broker", ["--broker", `tcp://127.0.0.1:${port}`, "--data", broker.data]);
    assert.equal(log.code, 1);
    assert.ok(log.err.includes(broker.data), log.err);
});
