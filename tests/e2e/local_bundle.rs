//! `local` as a program: its options, its end, and what survives it.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::app::{PATIENCE, TestApp, USERS, skipped};
use crate::documents::{large_docx, pdf};
use crate::drive::Drive;

/// A running `local`. Dropping it kills it.
pub(crate) struct Program {
    process: Child,
    /// Kept open, so that what the program writes has somewhere to go.
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) app: TestApp,
}

fn local(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    for variable in ["ARCANA_PORT", "ARCANA_AWS_PORT", "ARCANA_DATA_DIR", "AWS_ENDPOINT_URL"] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Program {
    async fn start(arguments: &[&str]) -> Self {
        Self::spawn(arguments, Stdio::inherit()).await
    }

    /// Without state, with all that its functions say written to a file.
    pub(crate) async fn start_logged(log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        Self::spawn(&["--memory", "--verbose"], log.into()).await
    }

    async fn spawn(arguments: &[&str], errors: Stdio) -> Self {
        let mut command = local(&["--port", "0", "--aws-port", "0"]);
        let mut process = command.args(arguments).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(PATIENCE, output.next_line()).await.expect("a line in time").unwrap();
        let first = first.expect("a line that says what listens where");
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).expect(&first);
        let app = TestApp::at(url.trim_end_matches(','));
        Self { process, output, app }
    }

    async fn start_in(directory: &Path, arguments: &[&str]) -> Self {
        let directory = directory.to_str().unwrap();
        Self::start(&[&["--data-dir", directory], arguments].concat()).await
    }

    /// Ends the program as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        timeout(PATIENCE, self.process.kill()).await.unwrap().unwrap();
    }

    /// Sends a signal, waits for the end, and answers the exit code.
    async fn signal(mut self, name: &str) -> Option<i32> {
        let id = self.process.id().unwrap().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(sent.success());
        let rest = async { while let Ok(Some(_)) = self.output.next_line().await {} };
        timeout(PATIENCE, rest).await.expect("an end in time");
        timeout(PATIENCE, self.process.wait()).await.expect("an end in time").unwrap().code()
    }
}

/// Runs `local` where it cannot start; answers what it says on standard error.
async fn refused(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } =
        timeout(PATIENCE, local(arguments).arg("--memory").output()).await.expect("an end in time").unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.code().is_some_and(|code| code != 0), "{arguments:?}: {status}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_a_kill_and_is_mailed_once() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start_in(directory.path(), &["--hold", "email-worker"]).await;
    let account = program.app.register().await;
    program.kill().await;

    let program = Program::start_in(directory.path(), &[]).await;
    let token = program.app.login(&account).await.access;
    assert_eq!(program.app.me(&token).await.json()["id"], account.id.as_str());
    program.app.wait_for_mail(&account.email, PATIENCE).await;
    program.app.settle().await;
    assert_eq!(program.app.mails_to(&account.email).await.len(), 1);
    program.kill().await;

    let program = Program::start_in(directory.path(), &[]).await;
    // Long enough for whatever was in flight to come again.
    program.app.advance_clock(3_600).await;
    program.app.settle().await;
    assert_eq!(program.app.mails_to(&account.email).await.len(), 1);
    // The keys are the same: the token from before still lets in.
    assert_eq!(program.app.me(&token).await.status, 200);
    // The kill may fall between an event's way onto the bus and the record of it: then it comes twice,
    // under one id.
    let events = program.app.events_about(&account).await;
    let ids: std::collections::BTreeSet<String> =
        events.iter().map(|event| event["detail"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 2, "registered once, logged in once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_state_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = local(&["--port", "0", "--aws-port", "0", "--memory"]);
    let mut process = command.current_dir(directory.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    timeout(PATIENCE, output.next_line()).await.expect("a line in time").unwrap().expect("a line");
    timeout(PATIENCE, process.kill()).await.unwrap().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_a_clear_error() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--port", "--aws-port"] {
        let other = if option == "--port" { "--aws-port" } else { "--port" };
        let said = refused(&[option, &port, other, "0"]).await;
        assert!(said.contains(&port) && said.contains(option), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_means_nothing_is_a_clear_error() {
    let free = ["--port", "0", "--aws-port", "0"];
    let cases = [
        (["--parameter", "Nonsense=1"], "Nonsense"),
        (["--parameter", "Nonsense"], "NAME=VALUE"),
        (["--parameter", "AccessTokenSeconds=1"], "AccessTokenSeconds"),
        (["--parameter", "Stage=nowhere"], "Stage"),
        (["--hold", "nobody"], "nobody"),
        (["--bundle", "no-such-directory"], "no-such-directory"),
    ];
    for (option, names) in cases {
        let said = refused(&[&free[..], &option].concat()).await;
        assert!(said.contains(names), "{option:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let program = Program::start(&["--memory"]).await;
        let account = program.app.register().await;
        program.app.login(&account).await;
        assert_eq!(program.signal(signal).await, Some(0), "SIG{signal}");
    }
}

/// Every socket that the program listens on, not only those that it speaks of.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn everything_listens_on_loopback_only() {
    let program = Program::start(&["--memory"]).await;
    let id = program.process.id().unwrap();
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{id}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| {
            Some(target.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
        })
        .collect();
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        // Where there is no IPv6 there is no table of it.
        let table = std::fs::read_to_string(format!("/proc/{id}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (address, state, inode) = (columns[1], columns[3], columns[9]);
            if state == "0A" && sockets.iter().any(|socket| socket == inode) {
                listening.push(address.to_owned());
            }
        }
    }
    assert!(listening.len() >= 2, "{listening:?}");
    for address in listening {
        // 127.x.y.z as the kernel writes it on a little-endian machine.
        assert!(address[6..].starts_with("7F:"), "{address} is not loopback");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_makes_the_first_admin_of_a_running_bundle() {
    let program = Program::start(&["--memory"]).await;
    let port = program.app.port().to_string();
    let grant = async |email: &str, role: &str, port: &str| {
        let mut command = local(&["grant-role", email, role, "--port", port]);
        let Output { status, stdout, stderr } = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let account = program.app.register().await;
    let (done, said) = grant(&account.email, "admin", &port).await;
    assert!(done && said.contains("admin"), "{said}");
    let token = program.app.login(&account).await.access;
    assert_eq!(program.app.get_as(&token, USERS).await.status, 200);

    for (email, role, port, names) in [
        ("nobody@example.com", "admin", port.as_str(), "nobody@example.com"),
        ("nobody", "admin", &port, "nobody"),
        (&account.email, "root", &port, "root"),
        // Nothing listens at port 1.
        (&account.email, "admin", "1", "cargo run"),
    ] {
        let (done, said) = grant(email, role, port).await;
        assert!(!done && said.contains(names) && !said.contains("panicked"), "{email} {role} {port}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn built_binaries_do_what_the_library_does() {
    let Ok(binaries) = env::var("ARCANA_BUNDLE") else {
        skipped("ARCANA_BUNDLE names no directory of built binaries");
        return;
    };
    let program = Program::start(&["--memory", "--bundle", &binaries]).await;
    let app = &program.app;
    let account = app.register().await;
    let token = app.login(&account).await.access;
    let me = app.me(&token).await;
    assert_eq!((me.status.as_u16(), me.json()["id"].as_str()), (200, Some(&*account.id)));
    app.wait_for_mail(&account.email, Duration::from_secs(30)).await;
    app.get("/nothing").await.problem(404, "NOT_FOUND");
    let answers = futures_util::future::join_all((0..4).map(|_| app.me(&token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(app.mails_to(&account.email).await.len(), 1);
    assert_eq!(program.signal("TERM").await, Some(0));
}

/// Of every process of a binary, the most memory that one has ever held, in KiB.
fn most_memory(binary: &str) -> u64 {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let held = processes.filter_map(|process| {
        let program = std::fs::read_link(process.path().join("exe")).ok()?;
        let status = std::fs::read_to_string(process.path().join("status")).ok()?;
        let held = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        (program.file_name()? == binary).then(|| held.trim().trim_end_matches(" kB").parse().unwrap())
    });
    held.max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn built_binaries_hold_a_file_in_memory_once_at_most() {
    let Ok(binaries) = env::var("ARCANA_BUNDLE") else {
        skipped("ARCANA_BUNDLE names no directory of built binaries");
        return;
    };
    let program = Program::start(&["--memory", "--bundle", &binaries]).await;
    let drive = Drive::on(TestApp::at(&format!("http://127.0.0.1:{}", program.app.port()))).await;
    drive.active("small.pdf", &pdf(100)).await;
    let before = most_memory("files-finalize");
    for number in 0..5 {
        drive.active(&format!("{number}.pdf"), &pdf(10_485_760)).await;
    }
    let streamed = most_memory("files-finalize") - before;
    let document = large_docx();
    assert!((10_400_000..=10_485_760).contains(&document.len()), "{}", document.len());
    for number in 0..5 {
        drive.active(&format!("{number}.docx"), &document).await;
    }
    let held = most_memory("files-finalize") - before;
    println!("files-finalize: {before} KiB at rest, {streamed} more for pictures, {held} more for documents");
    assert!(streamed < 4 * 1024, "{streamed} KiB");
    assert!(held < 16 * 1024, "{held} KiB");
    assert_eq!(program.signal("TERM").await, Some(0));
}
