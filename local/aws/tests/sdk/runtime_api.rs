//! What the emulation of Lambda promises, tried with real processes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use local_aws::lambda::{Binary, Invocation, InvokeError, Pool, RuntimeApi};
use serde_json::{Value, json};
use tokio::time::timeout;

/// The function that the tests run.
const FUNCTION: &str = env!("CARGO_BIN_EXE_probe-function");
/// An emulator of its own, to be killed.
const HOST: &str = env!("CARGO_BIN_EXE_probe-host");

fn probe() -> Binary {
    Binary { timeout: Duration::from_secs(20), ..Binary::new("probe", FUNCTION) }
}

async fn pool(binary: Binary) -> Pool {
    Pool::new(&RuntimeApi::start().await.expect("starts"), binary)
}

/// Bounded, so that no broken promise hangs the tests.
async fn invoke(pool: &Pool, payload: Value) -> Result<Invocation, InvokeError> {
    let id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
    timeout(Duration::from_secs(30), pool.invoke(payload.to_string().into(), id))
        .await
        .expect("an invocation ends")
}

async fn warm(pool: &Pool) -> u32 {
    invoke(pool, json!({ "do": "echo" })).await.expect("echoes").pid
}

fn value(invocation: &Invocation) -> Value {
    serde_json::from_slice(&invocation.payload).expect("JSON")
}

fn failing_to_start(how: &str) -> Binary {
    Binary { environment: BTreeMap::from([("PROBE".to_owned(), how.to_owned())]), ..probe() }
}

/// Waits until a process runs no more (though it may not have been waited for).
fn gone(pid: u32) -> bool {
    let runs = || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z") && !stat.contains(") X"))
    };
    let since = Instant::now();
    while runs() && since.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    !runs()
}

#[tokio::test]
async fn two_invocations_at_once_run_in_two_processes() {
    let pool = pool(probe()).await;
    let sleep = || invoke(&pool, json!({ "do": "sleep", "n": 300 }));
    let (one, other) = tokio::join!(sleep(), sleep());
    assert_ne!(one.expect("answers").pid, other.expect("answers").pid);
}

#[tokio::test]
async fn a_warm_process_is_reused() {
    let pool = pool(probe()).await;
    let first = invoke(&pool, json!({ "n": 1 })).await.expect("answers");
    assert!(first.cold_init.is_some());
    for n in 2..50 {
        let next = invoke(&pool, json!({ "n": n })).await.expect("answers");
        assert_eq!(value(&next), json!({ "n": n }));
        assert_eq!((next.pid, next.cold_init), (first.pid, None));
    }
}

#[tokio::test]
async fn the_most_recently_used_process_is_reused_first() {
    let pool = pool(probe()).await;
    let sleep = |ms| invoke(&pool, json!({ "do": "sleep", "n": ms }));
    let (_early, late) = tokio::join!(sleep(300), sleep(600));
    assert_eq!(warm(&pool).await, late.expect("answers").pid);
}

#[tokio::test]
async fn a_function_over_its_timeout_is_killed_and_the_next_call_works() {
    let pool = pool(Binary { timeout: Duration::from_millis(500), ..probe() }).await;
    for what in ["sleep", "block"] {
        let pid = warm(&pool).await;
        let late = invoke(&pool, json!({ "do": what, "n": 60_000 })).await.expect_err("times out");
        assert!(matches!(late, InvokeError::Timeout(_)));
        assert_eq!(late.to_string(), "Task timed out after 0.50 seconds");
        assert!(gone(pid));
        assert_ne!(warm(&pool).await, pid);
    }
}

#[tokio::test]
async fn an_error_of_the_function_is_its_answer_and_the_process_stays_warm() {
    let pool = pool(probe()).await;
    let pid = warm(&pool).await;
    let failed = invoke(&pool, json!({ "do": "fail" })).await;
    let Err(InvokeError::Function(report)) = failed else { panic!("{failed:?}") };
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["errorMessage"], "the probe fails");
    assert!(report["errorType"].is_string());
    assert_eq!(warm(&pool).await, pid);
}

#[tokio::test]
async fn a_panic_is_an_error_answer() {
    let pool = pool(probe()).await;
    let failed = invoke(&pool, json!({ "do": "panic" })).await;
    let Err(InvokeError::Function(report)) = failed else { panic!("{failed:?}") };
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["errorMessage"], "Lambda panicked: the probe panics");
    warm(&pool).await;
}

#[tokio::test]
async fn a_process_that_exits_midway_fails_its_invocation_only() {
    let pool = pool(probe()).await;
    let (exited, other) = tokio::join!(
        invoke(&pool, json!({ "do": "exit", "n": 101 })),
        invoke(&pool, json!({ "do": "sleep", "n": 500 })),
    );
    let exited = exited.expect_err("exits");
    assert!(matches!(exited, InvokeError::Exited { .. }));
    assert_eq!(exited.to_string(), "Runtime exited with error: exit status 101");
    let other = other.expect("is not disturbed");
    assert_eq!(warm(&pool).await, other.pid);
}

#[tokio::test]
async fn a_warm_process_that_ended_is_replaced_unnoticed() {
    let pool = pool(probe()).await;
    let pid = warm(&pool).await;
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kills");
    assert!(killed.success() && gone(pid));
    assert_ne!(warm(&pool).await, pid);
}

#[tokio::test]
async fn a_binary_that_cannot_start_is_a_clear_error() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let plain = directory.join("not-executable");
    std::fs::write(&plain, "").expect("writes");
    let broken = directory.join("broken-interpreter");
    std::fs::write(&broken, "#!/does/not/exist\n").expect("writes");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&broken, executable).expect("sets the mode");
    let missing = directory.join("missing");
    for (path, reason) in [
        (missing.as_path(), "No such file"),
        (directory, "not a file"),
        (&plain, "not executable"),
        (&broken, "No such file"),
    ] {
        let pool = pool(Binary::new("broken", path)).await;
        for _ in 0..2 {
            let error = invoke(&pool, json!({})).await.expect_err("cannot start");
            assert!(matches!(error, InvokeError::Init(_)));
            let message = error.to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(message.contains(reason), "{message}");
        }
    }
}

#[tokio::test]
async fn a_failing_init_tells_what_the_process_reported() {
    for (how, reason) in [
        ("panic", "the probe cannot start"),
        ("panic", "Runtime exited with error: exit status 101"),
        ("report", "no database"),
    ] {
        let pool = pool(failing_to_start(how)).await;
        let error = invoke(&pool, json!({})).await.expect_err("cannot start");
        assert!(matches!(error, InvokeError::Init(_)));
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn an_init_that_hangs_is_ended_after_ten_seconds() {
    let pool = pool(failing_to_start("hang")).await;
    let started = Instant::now();
    let error = invoke(&pool, json!({})).await.expect_err("cannot start");
    assert!(error.to_string().contains("within 10 s"), "{error}");
    assert!((10..13).contains(&started.elapsed().as_secs()));
}

#[tokio::test]
async fn the_environment_is_only_what_was_given() {
    let given = [
        ("TABLE", "orders"),
        ("AWS_REGION", "us-east-1"),
        ("TZ", "Europe/Berlin"),
        ("AWS_LAMBDA_FUNCTION_NAME", "forged"),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pool = pool(Binary { environment: given.into(), ..probe() }).await;
    let answer = invoke(&pool, json!({ "do": "env" })).await.expect("answers");
    let environment: BTreeMap<String, String> = serde_json::from_slice(&answer.payload).expect("a map");
    let names: Vec<&str> = environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AWS_EXECUTION_ENV",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_REGION",
            "LAMBDA_TASK_ROOT",
            "TABLE",
            "TZ",
            "_HANDLER",
        ]
    );
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], "probe");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST");
    assert_eq!(environment["TABLE"], "orders");
    assert_eq!(environment["TZ"], "Europe/Berlin");
}

#[tokio::test]
async fn the_context_says_which_invocation_it_is_and_until_when() {
    let pool = pool(probe()).await;
    let answer = value(&invoke(&pool, json!({ "do": "context" })).await.expect("answers"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let left = answer["deadline"].as_u64().map(Duration::from_millis).expect("a deadline")
        - now.expect("after 1970");
    assert!((15..=20).contains(&left.as_secs()), "{left:?}");
    assert_eq!(answer["request_id"], "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:probe";
    assert_eq!(answer["invoked_function_arn"], arn);
    assert!(answer["xray_trace_id"].as_str().expect("a trace").starts_with("Root=1-"));
}

#[tokio::test]
async fn an_answer_that_is_too_large_fails_the_invocation_and_keeps_the_process() {
    let pool = pool(probe()).await;
    let fits = invoke(&pool, json!({ "do": "big", "n": 6 * 1024 * 1024 })).await.expect("fits");
    let error = invoke(&pool, json!({ "do": "big", "n": 20_000_000 })).await.expect_err("large");
    assert!(matches!(error, InvokeError::ResponseTooLarge));
    assert_eq!(warm(&pool).await, fits.pid);
}

#[tokio::test]
async fn requests_out_of_turn_are_refused() {
    let pool = pool(failing_to_start("raw")).await;
    let first = invoke(&pool, json!({})).await.expect("answers");
    assert_eq!(value(&first), json!([403, 403, 400]));
    let second = invoke(&pool, json!({})).await.expect("answers");
    assert_eq!(value(&second), json!([403, 403, 400, 202, 403, 403, 403, 400]));
}

#[tokio::test]
async fn a_dropped_invocation_takes_its_process_along() {
    let pool = pool(probe()).await;
    let pid = warm(&pool).await;
    let sleep = invoke(&pool, json!({ "do": "sleep", "n": 60_000 }));
    assert!(timeout(Duration::from_millis(200), sleep).await.is_err());
    assert_ne!(warm(&pool).await, pid);
    assert!(gone(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_invocations_share_as_many_processes_as_allowed() {
    let pool = pool(Binary { max_processes: 6, ..probe() }).await;
    let invocations: Vec<_> = (0..200)
        .map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let answer = invoke(&pool, json!({ "n": n })).await.expect("answers");
                assert_eq!(value(&answer), json!({ "n": n }));
                answer.pid
            })
        })
        .collect();
    let mut pids = BTreeSet::new();
    for invocation in invocations {
        pids.insert(invocation.await.expect("succeeds"));
    }
    assert!((1..=6).contains(&pids.len()), "{pids:?}");
}

#[tokio::test]
async fn each_line_of_output_reaches_the_log() {
    let lines = Arc::new(Mutex::new(BTreeSet::new()));
    let taken = Arc::clone(&lines);
    let log = Arc::new(move |function: &str, line: &str| {
        taken.lock().expect("lines").insert(format!("{function}: {line}"));
    });
    let pool = pool(Binary { log, ..probe() }).await;
    invoke(&pool, json!({ "do": "say" })).await.expect("answers");
    let wanted: BTreeSet<String> = ["probe: to stderr", "probe: to stdout"].map(str::to_owned).into();
    let arrive = async {
        while *lines.lock().expect("lines") != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), arrive).await.expect("both lines");
}

#[tokio::test]
async fn an_idle_process_is_ended_after_a_while() {
    let pool = pool(Binary { keep_warm: Duration::from_millis(200), ..probe() }).await;
    let pid = warm(&pool).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(gone(pid));
    assert_ne!(warm(&pool).await, pid);
}

#[tokio::test]
async fn a_request_id_that_is_none_is_refused() {
    let pool = pool(probe()).await;
    for id in ["", "a/b", "a\nb", "ä"] {
        let error = pool.invoke("{}".into(), id).await.expect_err("no id");
        assert!(matches!(error, InvokeError::RequestId(_)));
    }
}

#[tokio::test]
async fn no_process_outlives_the_pool() {
    let dropped = pool(probe()).await;
    let pid = warm(&dropped).await;
    drop(dropped);
    assert!(gone(pid));

    let idle = pool(probe()).await;
    let pid = warm(&idle).await;
    idle.shutdown().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists());

    let pool = pool(probe()).await;
    let pid = warm(&pool).await;
    let sleep = || invoke(&pool, json!({ "do": "sleep", "n": 60_000 }));
    let end = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        pool.shutdown().await;
    };
    let (busy, other, ()) = tokio::join!(sleep(), sleep(), end);
    assert!(matches!(busy, Err(InvokeError::Shutdown)));
    assert!(matches!(other, Err(InvokeError::Shutdown)));
    assert!(gone(pid));
    let after = invoke(&pool, json!({})).await;
    assert!(matches!(after, Err(InvokeError::Shutdown)));
}

/// A blocked function would not see that its Runtime API is gone; this needs setpriv.
#[test]
fn no_process_outlives_an_emulator_that_is_killed() {
    if !Path::new("/usr/bin/setpriv").exists() {
        eprintln!("skipped: there is no setpriv");
        return;
    }
    let mut host = Command::new(HOST).arg(FUNCTION).stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    let stdout = host.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let pid: u32 = line.trim().parse().expect("a process id");
    host.kill().expect("kills");
    host.wait().expect("is gone");
    assert!(gone(pid));
}
