//! The bench measures built binaries: `ARCANA_BUNDLE` says where they are, the floors among them. Without it, nothing is measured. It takes
//! Node.js and npm.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn a_round_over_built_binaries_gives_figures_of_each() {
    let Some(bundle) = std::env::var_os("ARCANA_BUNDLE") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (json, svg) = (directory.path().join("figures.json"), directory.path().join("figures.svg"));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["functions", "--rounds", "1", "--warm", "1", "--memory", "256", "--bundle"]);
    let bench = bench.arg(&bundle).arg("--previous").arg(&bundle);
    let output = bench.arg("--json").arg(&json).arg("--svg").arg(&svg).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let subjects = report["subjects"].as_array().unwrap();
    let named = |name: &str| {
        subjects.iter().find(|subject| subject["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
    };
    for name in ["hello, world", "one read", "auth-me", "products-grpc", "email-worker", "events-relay"] {
        let figures = named(name);
        for figure in
            ["startCpu", "startCpuOfFloor", "warmCpu", "p50", "p99", "memory", "memoryOfFloor", "size"]
        {
            assert!(
                figures[figure].as_f64().is_some_and(|figure| figure > 0.0),
                "{name}: {figure}: {figures}"
            );
        }
    }
    assert_eq!(named("hello, world")["startCpuOfFloor"], 1.0);
    // The same binary beside itself, in a single round of two starts each.
    let ratio = named("auth-me")["startCpuOfPrevious"].as_f64().unwrap();
    assert!((0.1..10.0).contains(&ratio), "{ratio}");
    // Far apart, so that numerator and denominator cannot be confused.
    for port in ["auth-me", "products-get", "email-worker", "events-relay"] {
        for ratio in ["nodeStartCpu", "nodeWarmCpu", "nodeMemory"] {
            assert!(named(port)[ratio].as_f64().is_some_and(|ratio| ratio > 2.0), "{port}: {ratio}");
        }
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("| auth-me |"), "{table}");
    assert!(Path::new(&svg).metadata().unwrap().len() > 1_000);
}
