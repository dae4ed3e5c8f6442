use super::*;
use crate::email::Email;
use crate::text::Name;

crate::input! {
    struct Form { name: Name, email: Email, nick_name as "nickName": Option<Name> }
}

fn read(body: &str) -> Result<Form> {
    Form::read(Source::Body(&Body::parse(body.as_bytes())?))
}

#[test]
fn a_field_may_be_named_otherwise_in_json() {
    let body = r#"{"name": " Ada ", "email": "ADA@example.com", "nickName": "A"}"#;
    let Form { name, email, nick_name } = read(body).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((name.as_str(), email.as_str()), ("Ada", "ada@example.com"));
    assert_eq!(nick_name.map(|name| name.as_str().to_owned()).as_deref(), Some("A"));
}

impl Field for i64 {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        raw.integer()
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer"})
    }
}

#[test]
fn every_fault_of_a_query_is_named_in_one_error() {
    crate::input! {
        struct Asked { count: Option<i64>, name: Option<Name> }
    }
    let read = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Asked::read(Source::Texts(&Texts::new(pairs)))
    };
    assert!(matches!(read(&[("count", "-7"), ("name", "7")]), Ok(Asked { count: Some(-7), name: Some(_) })));
    let Err(Error::Validation(errors)) =
        read(&[("count", "+7"), ("name", ""), ("nmae", "x"), ("count", "7")])
    else {
        panic!("no validation error")
    };
    assert_eq!(
        places(&errors),
        [
            (Place::Parameter("count".into()), "INVALID_FORMAT"),
            (Place::Parameter("name".into()), "TOO_SHORT"),
            (Place::Parameter("nmae".into()), "UNKNOWN_FIELD"),
            (Place::Parameter("count".into()), "INVALID_VALUE"),
        ]
    );
}

fn places(errors: &[FieldError]) -> Vec<(Place, &str)> {
    errors.iter().map(|error| (error.place.clone(), error.code)).collect()
}

#[test]
fn every_broken_rule_is_named_in_one_error() {
    let Err(Error::Validation(errors)) = read(r#"{"email": "x", "a/b": 1, "nickName": ""}"#) else {
        panic!("no validation error")
    };
    assert_eq!(
        places(&errors),
        [
            (Place::Pointer("/name".into()), "REQUIRED"),
            (Place::Pointer("/email".into()), "INVALID_FORMAT"),
            (Place::Pointer("/nickName".into()), "TOO_SHORT"),
            (Place::Pointer("/a~1b".into()), "UNKNOWN_FIELD"),
        ]
    );
}

#[test]
fn every_value_of_a_wrong_type_is_named_in_one_error() {
    let Err(Error::InvalidType(errors)) = read(r#"{"name": 1, "email": null, "nickName": []}"#) else {
        panic!("no type error")
    };
    assert_eq!(errors.len(), 3);
}

#[test]
fn what_is_not_one_json_object_is_malformed() {
    for body in [
        "",
        " ",
        "{",
        "{}{}",
        r#"{"name": "Ada",}"#,
        r#"{"name": "a", "name": "b"}"#,
        r#"{"name": "a", "n\u0061me": "b"}"#,
        r#"{"name": "\ud800"}"#,
        "{\"name\": \"\u{1}\"}",
    ] {
        assert!(matches!(read(body), Err(Error::MalformedJson(_))), "{body:?} was taken");
    }
    let wide: Vec<String> = (0..30_000).map(|n| format!("\"{n}\":0")).collect();
    assert!(matches!(read(&format!("{{{}}}", wide.join(","))), Err(Error::MalformedJson(_))));
    let deep = format!("{{\"name\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(read(&deep), Err(Error::MalformedJson(_))));
    assert!(matches!(read("[]"), Err(Error::InvalidType(_))));
    assert!(matches!(Body::parse(b"{\"name\": \"\xff\"}"), Err(Error::MalformedJson(_))));
}
