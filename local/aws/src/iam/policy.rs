//! Policies: statements, and what they apply to.
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>)

use serde_json::Value;

use super::Need;

/// What is wrong with a policy, or is not evaluated here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// One action on one resource that is allowed or denied; a statement of a policy is some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    allows: bool,
    action: String,
    resource: String,
    conditions: Vec<Condition>,
    /// Of a resource's own policy: the service of AWS that it is for.
    service: Option<String>,
}

/// A key of a request that has to have one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    Like,
}

/// The elements of a statement that are evaluated.
const ELEMENTS: [&str; 6] = ["Sid", "Effect", "Action", "Resource", "Condition", "Principal"];

/// The keys that requests here have a value of.
const KEYS: [&str; 2] = ["aws:SourceArn", "ses:FromAddress"];

impl Statement {
    /// The statements of a policy document. What is not evaluated here is an error, not ignored.
    pub fn read_all(policy: &Value) -> Result<Vec<Self>, PolicyError> {
        let statements = match &policy["Statement"] {
            Value::Array(statements) => statements.iter().collect(),
            one => vec![one],
        };
        let read = statements.into_iter().map(Self::read).collect::<Result<Vec<_>, _>>()?;
        Ok(read.into_iter().flatten().collect())
    }

    /// A statement as one for each of its actions on each of its resources.
    fn read(statement: &Value) -> Result<Vec<Self>, PolicyError> {
        let object = statement
            .as_object()
            .ok_or_else(|| PolicyError(format!("{statement} is no statement of a policy")))?;
        if let Some(other) = object.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
            return Err(PolicyError(format!("{other} of a policy's statement is not evaluated here")));
        }
        let allows = match statement["Effect"].as_str() {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(PolicyError(format!("the Effect of {statement} is neither Allow nor Deny"))),
        };
        let (actions, resources) = (texts(&statement["Action"])?, texts(&statement["Resource"])?);
        let conditions = conditions(&statement["Condition"])?;
        let service = object.get("Principal").map(principal).transpose()?;
        let each = |action: &String| {
            let action = action.clone();
            let conditions = conditions.clone();
            let service = service.clone();
            resources.iter().map(move |resource| Self {
                allows,
                action: action.clone(),
                resource: resource.clone(),
                conditions: conditions.clone(),
                service: service.clone(),
            })
        };
        Ok(actions.iter().flat_map(each).collect())
    }

    /// Whether it allows; it denies otherwise.
    pub fn allows(&self) -> bool {
        self.allows
    }

    /// Its action and resource, as they are written.
    pub fn written(&self) -> (&str, &str) {
        (&self.action, &self.resource)
    }

    /// Whether these are its action and resource.
    pub(super) fn is(&self, action: &str, resource: &str) -> bool {
        self.written() == (action, resource)
    }

    /// Whether it is about what `need` is about.
    pub(super) fn applies(&self, need: &Need) -> bool {
        // The cheaper comparison first. Actions are compared without case.
        fits(&self.resource, &need.resource)
            && fits(&self.action.to_lowercase(), &need.action.to_lowercase())
            && self.conditions.iter().all(|condition| condition.holds(need))
    }

    /// Whether it is of a resource's own policy, and not of a role's.
    pub fn has_principal(&self) -> bool {
        self.service.is_some()
    }

    /// Whether it is for a service of AWS.
    pub(super) fn is_for(&self, service: &str) -> bool {
        self.service.as_deref() == Some(service)
    }
}

impl Condition {
    fn holds(&self, need: &Need) -> bool {
        let value = need.context.iter().find(|(key, _)| *key == self.key).map(|(_, value)| value);
        value.is_some_and(|value| {
            self.values.iter().any(|wanted| match self.operator {
                Operator::Equals => wanted == value,
                Operator::Like => fits(wanted, value),
            })
        })
    }
}

fn conditions(written: &Value) -> Result<Vec<Condition>, PolicyError> {
    let mut conditions = Vec::new();
    let object = |value: &Value| match value {
        Value::Object(object) => Ok(object.clone()),
        Value::Null => Ok(serde_json::Map::new()),
        other => Err(PolicyError(format!("{other} is no condition"))),
    };
    for (name, keys) in &object(written)? {
        let operator = match name.as_str() {
            "StringEquals" => Operator::Equals,
            // ArnEquals takes patterns too.
            "StringLike" | "ArnLike" | "ArnEquals" => Operator::Like,
            other => {
                return Err(PolicyError(format!("the condition operator {other} is not evaluated here")));
            }
        };
        for (key, values) in &object(keys)? {
            if !KEYS.contains(&key.as_str()) {
                return Err(PolicyError(format!("the condition key {key} is not evaluated here")));
            }
            conditions.push(Condition { operator, key: key.clone(), values: texts(values)? });
        }
    }
    Ok(conditions)
}

/// The service that a resource's policy is for. Whoever else comes has a role, and is held to that alone.
fn principal(written: &Value) -> Result<String, PolicyError> {
    let service = written["Service"].as_str().filter(|_| written.as_object().is_some_and(|of| of.len() == 1));
    service
        .map(ToOwned::to_owned)
        .ok_or_else(|| PolicyError(format!("the Principal {written} is not evaluated here")))
}

/// A text or a list of some.
fn texts(value: &Value) -> Result<Vec<String>, PolicyError> {
    let texts = match value {
        Value::Array(texts) => texts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let read = |text: &Value| match text.as_str() {
        Some(variable) if variable.contains("${") => {
            Err(PolicyError(format!("the policy variable in {variable} is not evaluated here")))
        }
        Some(text) => Ok(text.to_owned()),
        None => Err(PolicyError(format!("{value} is neither a text nor a list of texts"))),
    };
    texts.iter().map(read).collect()
}

/// Whether the whole of `text` fits a pattern in which `*` is anything and `?` any one character.
fn fits(pattern: &str, text: &str) -> bool {
    // By bytes, which is by characters where there is no `?` for one of several.
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // Where to go on when it goes wrong: after the last `*`, with one more character of the text in it.
    let (mut at, mut place, mut back) = (0, 0, None);
    while place < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                back = Some((at, place));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == text[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                at = star + 1;
                place = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stars_and_question_marks_are_patterns() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything"),
            ("a*c", "ac"),
            ("a*c", "abcbc"),
            ("a?c", "abc"),
            ("b/????/??/??/*", "b/2026/11/28/k.pdf"),
            ("*/index/*", "table/Lamps/index/newest"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a?c", "ac"),
            ("a*c", "ab"),
            ("b/????/*", "b/quarantine/k"),
            ("table/Lamps", "table/Lamps2"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_not_evaluated_is_named() {
        let of = |change: &dyn Fn(&mut Value)| {
            let mut statement = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
            change(&mut statement);
            Statement::read_all(&json!({"Statement": statement}))
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(&|_| ()), Ok(()));
        for (element, value, wrong) in [
            ("NotAction", json!("s3:*"), "NotAction"),
            ("Effect", json!("allow"), "neither Allow nor Deny"),
            ("Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), "IpAddress"),
            ("Condition", json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), "aws:PrincipalOrgID"),
            ("Principal", json!({"AWS": "arn:aws:iam::1:root"}), "Principal"),
            ("Principal", json!({"Service": "events.amazonaws.com", "AWS": "*"}), "Principal"),
            ("Principal", json!("*"), "Principal"),
            ("Resource", json!({"Ref": "Lamps"}), "neither a text nor a list"),
        ] {
            let error = of(&|statement| statement[element] = value.clone());
            assert!(error.as_ref().is_err_and(|error| error.contains(wrong)), "{error:?}");
        }
    }

    #[test]
    fn a_condition_wants_a_value() {
        let policy = json!({"Statement": {"Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*",
            "Condition": {"StringEquals": {"ses:FromAddress": ["a@example.com", "b@example.com"]}}}});
        let statements = Statement::read_all(&policy).expect("a policy");
        let send = Need::new("ses:SendEmail", "arn:aws:ses:us-east-1:000000000000:identity/example.com");
        assert!(!statements[0].applies(&send));
        assert!(statements[0].applies(&send.clone().with("ses:FromAddress", "b@example.com")));
        assert!(!statements[0].applies(&send.with("ses:FromAddress", "c@example.com")));
    }
}
