//! The examples of AWS's page on comparison operators, and what it says beside them.

use serde_json::{Value, json};

use super::Pattern;

fn matches(pattern: Value, event: Value) -> bool {
    Pattern::parse(&pattern).expect("a valid pattern").matches(&event)
}

fn wrong(pattern: Value) -> String {
    Pattern::parse(&pattern).expect_err("an invalid pattern")
}

#[test]
fn values_match_exactly() {
    let ec2 = json!({"source": "aws.ec2", "detail": {"state": "running", "count": 300, "ok": true, "user": null, "empty": ""}});
    assert!(matches(json!({"source": ["aws.ec2"]}), ec2.clone()));
    assert!(matches(json!({"source": ["aws.s3", "aws.ec2"], "detail": {"state": ["running"]}}), ec2.clone()));
    assert!(!matches(json!({"source": ["aws.ec2"], "detail": {"state": ["stopped"]}}), ec2.clone()));
    assert!(matches(
        json!({"detail": {"count": [300.0], "ok": [true], "user": [null], "empty": [""]}}),
        ec2.clone()
    ));
    assert!(!matches(json!({"detail": {"count": ["300"]}}), ec2.clone()));
    assert!(!matches(json!({"detail": {"user": [""]}}), ec2.clone()));
    assert!(!matches(json!({"detail": {"missing": [null]}}), ec2.clone()));
    assert!(!matches(json!({"detail": ["running"]}), ec2));
    assert!(!matches(json!({"n": [9_007_199_254_740_993_u64]}), json!({"n": 9_007_199_254_740_992_u64})));
}

#[test]
fn prefixes_and_suffixes_match_text() {
    assert!(matches(json!({"time": [{"prefix": "2017-10-02"}]}), json!({"time": "2017-10-02T18:43:48Z"})));
    assert!(!matches(json!({"time": [{"prefix": "2017-10-02"}]}), json!({"time": 2017})));
    let service = json!({"service": [{"prefix": {"equals-ignore-case": "EventB"}}]});
    assert!(matches(service.clone(), json!({"service": "eventbridge"})));
    assert!(!matches(service, json!({"service": "bridge"})));
    assert!(matches(json!({"FileName": [{"suffix": ".png"}]}), json!({"FileName": "a.png"})));
    assert!(matches(json!({"f": [{"suffix": {"equals-ignore-case": ".png"}}]}), json!({"f": "a.PnG"})));
    assert!(matches(json!({"n": [{"equals-ignore-case": "alice"}]}), json!({"n": "AliCE"})));
}

#[test]
fn anything_but_matches_what_is_present_and_different() {
    let but = |operand: Value, value: Value| {
        matches(json!({"x": [{"anything-but": operand}]}), json!({"x": value}))
    };
    assert!(but(json!("initializing"), json!("running")));
    assert!(!but(json!("initializing"), json!("initializing")));
    assert!(but(json!(123), json!(456)));
    assert!(!but(json!(["stopped", "overloaded"]), json!("stopped")));
    assert!(!but(json!([100, 200]), json!(200)));
    assert!(!but(json!({"prefix": "init"}), json!("initializing")));
    assert!(but(json!({"prefix": "init"}), json!("running")));
    assert!(!but(json!({"prefix": ["a", "b"]}), json!("bc")));
    assert!(!but(json!({"suffix": [".txt", ".rtf"]}), json!("a.rtf")));
    assert!(!but(json!({"equals-ignore-case": ["initializing", "stopped"]}), json!("STOPPED")));
    assert!(!but(json!({"wildcard": "*/lib/*"}), json!("/a/lib/b")));
    assert!(but(json!({"wildcard": ["*/lib/*", "*/bin/*"]}), json!("/a/etc/b")));
    assert!(!matches(json!({"x": [{"anything-but": "a"}]}), json!({"y": "b"})));
}

#[test]
fn numbers_compare_with_bounds() {
    let pattern = json!({"detail": {
        "c-count": [{"numeric": [">", 0, "<=", 5]}],
        "d-count": [{"numeric": ["<", 10]}],
        "x-limit": [{"numeric": ["=", 3.018e2]}],
    }});
    let event = |c: f64, d: i64| json!({"detail": {"c-count": c, "d-count": d, "x-limit": 301.8}});
    assert!(matches(pattern.clone(), event(5.0, 9)));
    assert!(!matches(pattern.clone(), event(0.0, 9)));
    assert!(!matches(pattern.clone(), event(5.0, 10)));
    assert!(!matches(pattern, json!({"detail": {"c-count": "1", "d-count": 1, "x-limit": 301.8}})));
}

#[test]
fn exists_sees_leaves_only() {
    let event = json!({"detail": {"instance": {"state": "running"}, "tags": [], "none": null, "list": [{"a": 1}, {"b": 2}]}});
    let exists = |path: Value| matches(json!({"detail": path}), event.clone());
    assert!(exists(json!({"instance": {"state": [{"exists": true}]}})));
    assert!(!exists(json!({"instance": [{"exists": true}]})));
    assert!(exists(json!({"instance": [{"exists": false}]})));
    assert!(exists(json!({"none": [{"exists": true}]})));
    assert!(exists(json!({"tags": [{"exists": false}]})));
    assert!(exists(json!({"far": {"away": [{"exists": false}]}})));
    assert!(!exists(json!({"list": {"a": [{"exists": false}]}})));
    assert!(exists(json!({"far": [{"exists": false}, "x"]})));
}

#[test]
fn wildcards_stand_for_any_text() {
    let wild = |pattern: &str, text: &str| matches(json!({"x": [{"wildcard": pattern}]}), json!({"x": text}));
    assert!(wild("dir/*.png", "dir/sub/a.png"));
    assert!(!wild("dir/*.png", "dir/a.jpg"));
    assert!(wild("*/bin/*/bin/*", "/usr/bin/x/bin/y"));
    assert!(!wild("aba*aba", "aba"));
    assert!(wild("*", ""));
    assert!(wild("plain", "plain"));
    assert!(wild(r"a\*b\\", r"a*b\"));
    assert!(!wild(r"a\*b", "aXb"));
}

#[test]
fn cidr_blocks_hold_addresses_of_their_family() {
    let ip = |block: &str, ip: &str| matches(json!({"ip": [{"cidr": block}]}), json!({"ip": ip}));
    assert!(ip("10.0.0.0/24", "10.0.0.255"));
    assert!(!ip("10.0.0.0/24", "10.0.1.0"));
    assert!(ip("0.0.0.0/0", "8.8.8.8") && !ip("0.0.0.0/0", "::1") && !ip("10.0.0.0/8", "no address"));
    assert!(ip("2001:db8::/32", "2001:db8::7"));
}

#[test]
fn or_takes_one_of_its_alternatives() {
    let pattern = json!({"source": ["s"], "detail": {"$or": [
        {"c-count": [{"numeric": [">", 0, "<=", 5]}]},
        {"d-count": [{"numeric": ["<", 10]}]},
        {"x": {"y": ["z"]}},
    ]}});
    assert!(matches(pattern.clone(), json!({"source": "s", "detail": {"c-count": 9, "d-count": 1}})));
    assert!(matches(pattern.clone(), json!({"source": "s", "detail": {"x": {"y": "z"}}})));
    assert!(!matches(pattern.clone(), json!({"source": "s", "detail": {"c-count": 9, "d-count": 10}})));
    assert!(!matches(pattern, json!({"source": "t", "detail": {"d-count": 1}})));
    let field = json!({"$or": [{"prefix": "a"}, {"suffix": "b"}]});
    assert!(matches(field, json!({"$or": "cb"})));
}

#[test]
fn any_element_of_an_array_matches() {
    assert!(matches(json!({"resources": [{"prefix": "arn:b"}]}), json!({"resources": ["arn:a", "arn:b:c"]})));
    assert!(!matches(json!({"resources": ["arn"]}), json!({"resources": []})));
    let list = json!({"list": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]});
    assert!(matches(json!({"list": {"a": [3], "b": [4]}}), list.clone()));
    assert!(!matches(json!({"list": {"a": [1], "b": [4]}}), list));
}

#[test]
fn a_wrong_pattern_says_what_is_wrong() {
    assert_eq!(wrong(json!([])), "Filter is not an object");
    assert_eq!(wrong(json!({})), "Empty objects are not allowed");
    assert_eq!(
        wrong(json!({"detail": {"state": "running"}})),
        "\"detail.state\" must be an object or an array"
    );
    assert_eq!(wrong(json!({"source": []})), "Empty arrays are not allowed at \"source\"");
    assert_eq!(wrong(json!({"a": {"b": [{"prefx": "x"}]}})), "Unrecognized match type prefx at \"a.b\"");
    for leaf in [
        json!([["x"]]),
        json!([{}]),
        json!([{"prefix": "a", "suffix": "b"}]),
        json!([{"prefix": 1}]),
        json!([{"exists": "yes"}]),
        json!([{"numeric": []}]),
        json!([{"numeric": ["<"]}]),
        json!([{"numeric": ["<", "1"]}]),
        json!([{"numeric": ["<", 5, ">", 1]}]),
        json!([{"numeric": [">", 5, "<", 1]}]),
        json!([{"numeric": ["~", 5]}]),
        json!([{"anything-but": []}]),
        json!([{"anything-but": ["a", 1]}]),
        json!([{"anything-but": null}]),
        json!([{"anything-but": {"numeric": ["<", 1]}}]),
        json!([{"wildcard": "a**b"}]),
        json!([{"wildcard": "a\\b"}]),
        json!([{"cidr": "10.0.0.0/33"}]),
        json!([{"cidr": "10.0.0.0"}]),
    ] {
        assert!(Pattern::parse(&json!({"x": leaf})).is_err(), "{leaf} is refused");
    }
}
