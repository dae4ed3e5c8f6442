//! The whole bundle of binaries under load, by wrk (<https://github.com/wg/wrk>).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use local::{Bundle, Options};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::Result;
use crate::stack::{PASSWORD, Stack};

/// A kind of request: its name, how many are under way at once, and how wrk makes one, in Lua.
type Kind = (&'static str, u32, String);

/// What wrk says of one kind.
struct Outcome {
    per_second: String,
    median: String,
    p99: String,
}

/// Puts the bundle of the binaries in `bundle` under load for so many seconds a kind; answers a table in Markdown.
pub(crate) async fn table(bundle: PathBuf, seconds: u32) -> Result<String> {
    let template = unthrottled(&Options::default().template)?;
    let options =
        Options { bundle: Some(bundle), template: template.path().to_owned(), ..Options::default() };
    let stack = Stack::on(Bundle::start(options).await?).await?;
    let kinds = kinds(&stack).await?;
    let mut table = "| request | at once | a second | p50 | p99 |\n|---|---|---|---|---|\n".to_owned();
    for (name, at_once, script) in kinds {
        let Outcome { per_second, median, p99 } =
            wrk(&stack.url(), at_once, &script, seconds).await.map_err(|error| format!("{name}: {error}"))?;
        writeln!(table, "| {name} | {at_once} | {per_second} | {median} | {p99} |")?;
    }
    stack.stop().await;
    Ok(table)
}

/// A copy of the template whose gateway lets in what the machine can carry.
fn unthrottled(template: &Path) -> Result<NamedTempFile> {
    let raised = |line: &str| match line.split_once(": ") {
        Some((limit, _)) if limit.trim_start().starts_with("Throttling") => format!("{limit}: 1000000\n"),
        _ => format!("{line}\n"),
    };
    let copy = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    std::fs::write(copy.path(), std::fs::read_to_string(template)?.lines().map(raised).collect::<String>())?;
    Ok(copy)
}

async fn kinds(stack: &Stack) -> Result<Vec<Kind>> {
    let token = stack.admin("admin@example.com").await?;
    // Whose many logins end the sessions of nobody else.
    stack.register("login@example.com").await?;
    stack.indexed().await?;
    let listed = stack.call("GET", "/api/v1/products?size=100", &Value::Null).await?;
    let ids = listed["data"].as_array().into_iter().flatten().filter_map(|product| product["id"].as_str());
    let ids = ids.map(|id| format!("{id:?}")).collect::<Vec<_>>().join(", ");
    let any = format!(
        "math.randomseed(os.time() + tonumber(tostring({{}}):sub(8)) % 1000)\nlocal ids = {{{ids}}}\nlocal function any() return ids[math.random(#ids)] end\n"
    );
    let get = |path: &str| format!("request = function() return wrk.format('GET', {path}) end\n");
    let login = json!({"email": "login@example.com", "password": PASSWORD}).to_string();
    let header = "wrk.headers['content-type'] = 'application/json'\n";
    Ok(vec![
        ("get product", 8, any.clone() + &get("'/api/v1/products/' .. any()")),
        ("list products", 8, get("'/api/v1/products?size=20'")),
        ("search products", 8, get("'/api/v1/products/search?q=arcana+lamp'")),
        (
            "own account",
            8,
            format!("wrk.headers['authorization'] = 'Bearer {token}'\n{}", get("'/api/v1/auth/me'")),
        ),
        (
            "log in",
            2,
            format!(
                "{header}request = function() return wrk.format('POST', '/api/v1/auth/login', nil, '{login}') end\n"
            ),
        ),
        (
            "change a stock",
            8,
            format!(
                "{any}{header}wrk.headers['authorization'] = 'Bearer {token}'\nrequest = function() return \
                 wrk.format('PATCH', '/api/v1/products/' .. any() .. '/stock', nil, '{{\"quantityChange\": 1}}') end\n"
            ),
        ),
    ])
}

async fn wrk(url: &str, at_once: u32, script: &str, seconds: u32) -> Result<Outcome> {
    let file = tempfile::Builder::new().suffix(".lua").tempfile()?;
    std::fs::write(file.path(), script)?;
    let threads = at_once.min(2).to_string();
    let mut command = Command::new("wrk");
    command.args([
        "--latency",
        "-t",
        &threads,
        "-c",
        &at_once.to_string(),
        "-d",
        &format!("{seconds}s"),
        "-s",
    ]);
    let output = command.arg(file.path()).arg(url).output().await;
    let output = output
        .map_err(|error| format!("wrk cannot be started; Debian has a package of that name: {error}"))?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A script that it cannot read is no failure to wrk, which then asks for something else.
    if !output.status.success() || !complained.is_empty() {
        return Err(format!("wrk: {complained}{said}").into());
    }
    Outcome::read(&said)
}

impl Outcome {
    /// What wrk has said, if nothing of it failed: figures of refusals would be no figures of the request.
    fn read(said: &str) -> Result<Self> {
        let after = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        if let Some(failed) = after("Non-2xx or 3xx responses:").or_else(|| after("Socket errors:")) {
            return Err(format!("some have failed ({failed}): {said}").into());
        }
        let figure =
            |name| after(name).map(ToOwned::to_owned).ok_or_else(|| format!("wrk has said no {name} {said}"));
        Ok(Self { per_second: figure("Requests/sec:")?, median: figure("50%")?, p99: figure("99%")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 1s test @ http://127.0.0.1:3000
  2 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     9.24ms    3.03ms  31.15ms   77.25%
    Req/Sec   439.15     55.34   540.00     73.33%
  Latency Distribution
     50%    8.72ms
     75%   10.53ms
     90%   12.94ms
     99%   19.01ms
  13123 requests in 15.01s, 9.63MB read
Requests/sec:    874.29
Transfer/sec:    657.18KB
";

    #[test]
    fn what_wrk_says_is_read_and_a_failed_request_is_none() {
        let outcome = Outcome::read(SAID).unwrap();
        assert_eq!([outcome.per_second, outcome.median, outcome.p99], ["874.29", "8.72ms", "19.01ms"]);
        for failure in
            ["  Non-2xx or 3xx responses: 3", "  Socket errors: connect 0, read 0, write 0, timeout 2"]
        {
            assert!(Outcome::read(&format!("{failure}\n{SAID}")).is_err(), "{failure}");
        }
        assert!(Outcome::read("unable to connect").is_err());
    }
}
