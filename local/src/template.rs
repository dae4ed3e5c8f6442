//! Reads `template.yaml`: its YAML, its parameters and CloudFormation's intrinsic functions.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// A SAM template with its parameters chosen.
pub struct Template {
    document: Value,
    parameters: BTreeMap<String, Value>,
}

/// What is wrong with the template or with the parameters given for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Why a value cannot be resolved.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unresolved {
    /// It needs this attribute of a resource that does not exist yet.
    #[error("{0} does not exist")]
    NotYet(String),
    /// It is no valid use of an intrinsic function.
    #[error("{0}")]
    Invalid(String),
}

/// What parameters of the template mean on a laptop: where they have no default, or one for many addresses.
const LOCAL_PARAMETERS: [(&str, &str); 7] = [
    ("AppBaseUrl", "http://localhost:5173"),
    ("MailFrom", "no-reply@arcana.localhost"),
    ("StockAlertTo", "shop@arcana.localhost"),
    ("Commit", "local"),
    ("LoginFailuresPerAddress", WIDE),
    ("RegistrationsPerAddress", WIDE),
    ("MailRequestsPerAddress", WIDE),
];

/// What an address may do on a laptop: everybody there has the same one.
const WIDE: &str = "1000000";

impl Template {
    /// Reads the file at `path` and chooses `parameters` over the template's defaults.
    pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| TemplateError(format!("{} cannot be read: {error}", path.display())))?;
        Self::parse(&text, parameters)
    }

    /// Parses the template's text, see [`Template::read`].
    pub fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| TemplateError(error.to_string()))?;
        let document = long_form(yaml).map_err(TemplateError)?;
        let chosen = choose(&document["Parameters"], parameters)?;
        Ok(Self { document, parameters: chosen })
    }

    /// Which limits a laptop widens, and how to have the template's own.
    pub fn notes(&self) -> Vec<String> {
        let wide = LOCAL_PARAMETERS.iter().filter(|(_, value)| *value == WIDE).map(|(name, _)| *name);
        let wide = wide.filter(|name| self.parameters.get(*name).is_some_and(|value| text(value) == WIDE));
        wide.map(|name| {
            let own = text(&self.document["Parameters"][name]["Default"]);
            format!(
                "  {name} is wide here: everybody has one address; --parameter {name}={own} is the template's"
            )
        })
        .collect()
    }

    /// The resources as they are written, by their logical ids.
    pub fn resources(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document["Resources"].as_object().into_iter().flatten()
    }

    /// `Globals.Function`: what is said of every function.
    pub fn globals(&self) -> &Value {
        &self.document["Globals"]["Function"]
    }

    /// What `Globals` has besides.
    pub fn other_globals(&self) -> impl Iterator<Item = &String> {
        let globals = self.document["Globals"].as_object().into_iter().flatten();
        globals.map(|(name, _)| name).filter(|name| *name != "Function")
    }

    /// A scope in which the template's values can be resolved.
    pub fn scope(&self, stack: &str) -> Scope<'_> {
        let mut refs: BTreeMap<String, Value> = self.parameters.clone();
        refs.extend([
            ("AWS::StackName".to_owned(), json!(stack)),
            ("AWS::Region".to_owned(), json!(local_aws::REGION)),
            ("AWS::AccountId".to_owned(), json!(local_aws::ACCOUNT)),
            ("AWS::Partition".to_owned(), json!("aws")),
            ("AWS::URLSuffix".to_owned(), json!("amazonaws.com")),
        ]);
        Scope { conditions: &self.document["Conditions"], refs, attributes: BTreeMap::new() }
    }
}

/// Chooses each parameter: the caller's value, the laptop's, the template's default, in this order.
fn choose(
    declared: &Value,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    let none = Map::new();
    let declared = declared.as_object().unwrap_or(&none);
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        return Err(TemplateError(format!(
            "there is no parameter {unknown}; there are {}",
            known.join(", ")
        )));
    }
    let local =
        |name: &str| LOCAL_PARAMETERS.iter().find(|(known, _)| *known == name).map(|(_, value)| json!(value));
    let mut chosen = BTreeMap::new();
    for (name, parameter) in declared {
        if parameter["Type"].as_str().is_some_and(|kind| kind.starts_with("AWS::SSM::")) {
            return Err(TemplateError(format!("the parameter {name} is of a type that is not emulated")));
        }
        let value = given.get(name).map(|value| json!(value)).or_else(|| local(name));
        let value = value.or_else(|| parameter.get("Default").cloned());
        let value = value.ok_or_else(|| TemplateError(format!("the parameter {name} needs a value")))?;
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        check(name, parameter, &text)?;
        let value = match parameter["Type"].as_str() {
            Some("CommaDelimitedList") => text.split(',').map(|item| json!(item.trim())).collect(),
            _ => json!(text),
        };
        chosen.insert(name.clone(), value);
    }
    Ok(chosen)
}

/// Holds a parameter's value to what the template says of it, as CloudFormation does.
fn check(name: &str, parameter: &Value, value: &str) -> Result<(), TemplateError> {
    let wrong = |what: String| Err(TemplateError(format!("the parameter {name} {what}, not {value:?}")));
    if let Some(allowed) = parameter["AllowedValues"].as_array() {
        let allowed: Vec<String> = allowed
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), ToOwned::to_owned))
            .collect();
        if !allowed.iter().any(|one| one == value) {
            return wrong(format!("must be one of {}", allowed.join(", ")));
        }
    }
    if parameter["AllowedPattern"].as_str().is_some_and(|pattern| !fits(pattern, value)) {
        return wrong(format!("must be of the form {}", parameter["AllowedPattern"]));
    }
    let length = value.chars().count() as u64;
    if parameter["MinLength"].as_u64().is_some_and(|least| length < least)
        || parameter["MaxLength"].as_u64().is_some_and(|most| length > most)
    {
        return wrong(format!(
            "must have {} to {} characters",
            parameter["MinLength"], parameter["MaxLength"]
        ));
    }
    if parameter["Type"] == "Number" {
        let Ok(number) = value.parse::<f64>() else { return wrong("must be a number".to_owned()) };
        if parameter["MinValue"].as_f64().is_some_and(|least| number < least) {
            return wrong(format!("must be at least {}", parameter["MinValue"]));
        }
        if parameter["MaxValue"].as_f64().is_some_and(|most| number > most) {
            return wrong(format!("must be at most {}", parameter["MaxValue"]));
        }
    }
    Ok(())
}

/// Whether the whole of `value` fits `pattern`; one that is no regular expression fits nothing.
fn fits(pattern: &str, value: &str) -> bool {
    regex_lite::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(value))
}

/// YAML with CloudFormation's short forms (`!Ref x`) as JSON with its long forms (`{"Ref": "x"}`).
fn long_form(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => json!(value),
        Yaml::Number(value) => serde_json::to_value(value).map_err(|error| error.to_string())?,
        Yaml::String(value) => json!(value),
        Yaml::Sequence(values) => values.into_iter().map(long_form).collect::<Result<_, _>>()?,
        Yaml::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, value) in mapping {
                let key = key.as_str().ok_or_else(|| format!("{key:?} is no key of a template"))?;
                object.insert(key.to_owned(), long_form(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let value = long_form(tagged.value)?;
            match (name, &value) {
                ("Ref" | "Condition", _) => json!({name: value}),
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) =
                        path.split_once('.').ok_or_else(|| format!("!GetAtt {path} names no attribute"))?;
                    json!({"Fn::GetAtt": [resource, attribute]})
                }
                _ => json!({format!("Fn::{name}"): value}),
            }
        }
    })
}

/// What the template's references mean, as far as it is known.
pub struct Scope<'a> {
    conditions: &'a Value,
    refs: BTreeMap<String, Value>,
    attributes: BTreeMap<(String, String), Value>,
}

impl Scope<'_> {
    /// Says what `!Ref resource` and `!GetAtt resource.name` mean.
    pub fn define(&mut self, resource: &str, reference: &str, attributes: &[(&str, &str)]) {
        self.refs.insert(resource.to_owned(), json!(reference));
        for (name, value) in attributes {
            self.attributes.insert((resource.to_owned(), (*name).to_owned()), json!(value));
        }
    }

    /// Whether a resource has been made.
    pub fn has(&self, resource: &str) -> bool {
        self.refs.contains_key(resource)
    }

    /// Whether the condition `name` of the template holds.
    pub fn condition(&self, name: &str) -> Result<bool, Unresolved> {
        let condition = self.conditions.get(name);
        let condition =
            condition.ok_or_else(|| Unresolved::Invalid(format!("there is no condition {name}")))?;
        self.truth(condition)
    }

    /// The value with every intrinsic function replaced by what it means.
    pub fn resolve(&self, value: &Value) -> Result<Value, Unresolved> {
        match value {
            Value::Array(values) => values.iter().map(|value| self.resolve(value)).collect(),
            Value::Object(object) => match single(object) {
                Some((name, argument)) if name == "Ref" || name.starts_with("Fn::") => {
                    self.call(name, argument)
                }
                _ => object
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.resolve(value)?)))
                    .filter(|entry| !matches!(entry, Ok((_, value)) if is_no_value(value)))
                    .collect::<Result<Map<_, _>, _>>()
                    .map(Value::Object),
            },
            Value::String(text) if text.contains("{{resolve:") => {
                Err(Unresolved::Invalid(format!("the dynamic reference {text} is not emulated")))
            }
            plain => Ok(plain.clone()),
        }
    }

    fn call(&self, name: &str, argument: &Value) -> Result<Value, Unresolved> {
        let invalid = || Unresolved::Invalid(format!("{name} does not take {argument}"));
        match (name, argument) {
            ("Ref", Value::String(reference)) if reference == "AWS::NoValue" => {
                Ok(json!({"Ref": "AWS::NoValue"}))
            }
            ("Ref", Value::String(reference)) => self.reference(reference),
            ("Fn::GetAtt", Value::Array(path)) => match path.as_slice() {
                [Value::String(resource), Value::String(attribute)] => self.attribute(resource, attribute),
                _ => Err(invalid()),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text, &Map::new()).map(Value::String),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => {
                    let own = self.resolve(&Value::Object(own.clone()))?;
                    self.substitute(text, own.as_object().unwrap_or(&Map::new())).map(Value::String)
                }
                _ => Err(invalid()),
            },
            ("Fn::Join", Value::Array(parts)) => {
                let [Value::String(separator), list] = parts.as_slice() else { return Err(invalid()) };
                let list = self.resolve(list)?;
                let texts = list.as_array().ok_or_else(invalid)?.iter().map(text).collect::<Vec<_>>();
                Ok(json!(texts.join(separator)))
            }
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), then, otherwise] => {
                    self.resolve(if self.condition(condition)? { then } else { otherwise })
                }
                _ => Err(invalid()),
            },
            ("Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or", _) => {
                self.truth(&json!({name: argument})).map(Value::Bool)
            }
            _ => Err(Unresolved::Invalid(format!("{name} is not emulated"))),
        }
    }

    fn truth(&self, condition: &Value) -> Result<bool, Unresolved> {
        let invalid = || Unresolved::Invalid(format!("{condition} is no condition"));
        let (name, argument) = condition.as_object().and_then(single).ok_or_else(invalid)?;
        if name == "Condition" {
            return self.condition(argument.as_str().ok_or_else(invalid)?);
        }
        let arguments = argument.as_array().ok_or_else(invalid)?;
        match (name, arguments.as_slice()) {
            ("Fn::Equals", [left, right]) => Ok(text(&self.resolve(left)?) == text(&self.resolve(right)?)),
            ("Fn::Not", [one]) => Ok(!self.truth(one)?),
            ("Fn::And", all) => all.iter().try_fold(true, |sum, one| Ok(sum && self.truth(one)?)),
            ("Fn::Or", all) => all.iter().try_fold(false, |sum, one| Ok(sum || self.truth(one)?)),
            _ => Err(invalid()),
        }
    }

    fn reference(&self, name: &str) -> Result<Value, Unresolved> {
        self.refs.get(name).cloned().ok_or_else(|| Unresolved::NotYet(name.to_owned()))
    }

    fn attribute(&self, resource: &str, name: &str) -> Result<Value, Unresolved> {
        let attribute = self.attributes.get(&(resource.to_owned(), name.to_owned()));
        attribute.cloned().ok_or_else(|| Unresolved::NotYet(format!("{resource}.{name}")))
    }

    /// `${name}`, `${resource.attribute}` and `${!literal}` in `template`.
    fn substitute(&self, template: &str, own: &Map<String, Value>) -> Result<String, Unresolved> {
        let mut result = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| Unresolved::Invalid(format!("{template:?} is not closed")))?;
            result.push_str(before);
            match (name.strip_prefix('!'), own.get(name), name.split_once('.')) {
                (Some(literal), _, _) => result.extend(["${", literal, "}"]),
                (None, Some(value), _) => result.push_str(&text(value)),
                (None, None, Some((resource, attribute))) => {
                    result.push_str(&text(&self.attribute(resource, attribute)?));
                }
                (None, None, None) => result.push_str(&text(&self.reference(name)?)),
            }
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

fn single(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Some((key, value)),
        _ => None,
    }
}

fn is_no_value(value: &Value) -> bool {
    *value == json!({"Ref": "AWS::NoValue"})
}

/// A number, which CloudFormation takes as a text too: what `Ref` makes of a parameter is one.
pub(crate) fn number<T: std::str::FromStr>(value: &Value) -> Option<T> {
    text(value).parse().ok()
}

/// Whether a truth value is true, which CloudFormation takes as a text too.
pub(crate) fn is_true(value: &Value) -> bool {
    text(value) == "true"
}

/// A scalar as CloudFormation writes it into a text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"
Parameters:
  Stage: {Type: String, AllowedValues: [dev, prod], Default: dev}
  Origins: {Type: CommaDelimitedList, Default: "a, b"}
  Seconds: {Type: Number, MinValue: 5, Default: 10}
  Url: {Type: String, AllowedPattern: "https?://[^/]+", MaxLength: 20, Default: "http://a"}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
Resources:
  One: {Type: T}
"#;

    fn resolve(yaml: &str) -> Result<Value, Unresolved> {
        let template = Template::parse(TEMPLATE, &BTreeMap::new()).unwrap();
        let mut scope = template.scope("stack");
        scope.define("Table", "table-1", &[("Arn", "arn:table-1")]);
        scope.resolve(&long_form(serde_yaml_ng::from_str(yaml).unwrap()).unwrap())
    }

    #[test]
    fn intrinsic_functions_mean_what_they_mean_to_cloudformation() {
        for (yaml, expected) in [
            ("!Ref Table", json!("table-1")),
            ("!GetAtt Table.Arn", json!("arn:table-1")),
            (
                "!Sub \"${AWS::StackName}/${Table}/${Table.Arn}/${!x}\"",
                json!("stack/table-1/arn:table-1/${x}"),
            ),
            ("!Sub [\"${a}\", {a: !Ref Stage}]", json!("dev")),
            ("!Join [\"-\", !Ref Origins]", json!("a-b")),
            ("!If [IsProd, 1, 2]", json!(2)),
            ("!If [IsDev, 1, 2]", json!(1)),
            ("{a: !If [IsProd, 1, !Ref AWS::NoValue], b: [!Ref Seconds]}", json!({"b": ["10"]})),
        ] {
            assert_eq!(resolve(yaml).unwrap(), expected, "{yaml}");
        }
    }

    #[test]
    fn what_does_not_exist_yet_is_told_from_what_is_wrong() {
        assert_eq!(resolve("!Ref Later"), Err(Unresolved::NotYet("Later".into())));
        assert_eq!(resolve("!GetAtt Table.Name"), Err(Unresolved::NotYet("Table.Name".into())));
        assert!(matches!(resolve("!Cidr [a, b]"), Err(Unresolved::Invalid(_))));
        assert!(matches!(resolve("\"{{resolve:ssm:a}}\""), Err(Unresolved::Invalid(_))));
    }

    #[test]
    fn a_parameter_is_held_to_its_declaration() {
        for (name, value) in [
            ("Stage", "test"),
            ("Seconds", "4"),
            ("Seconds", "soon"),
            ("Stag", "dev"),
            ("Url", "http://a/"),
            ("Url", "http://a-name-that-is-long"),
        ] {
            let given = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(Template::parse(TEMPLATE, &given).is_err(), "{name}={value}");
        }
    }
}
