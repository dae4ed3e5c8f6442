//! An update of a product, gathered attribute by attribute.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::transaction::{Condition, Item, Step};

/// An update, gathered attribute by attribute.
#[derive(Default)]
pub(super) struct UpdateExpression {
    names: Vec<String>,
    set: Vec<String>,
    removed: Vec<String>,
    held: Vec<String>,
    values: Item,
}

impl UpdateExpression {
    /// The placeholder of an attribute's name.
    fn name(&mut self, name: &str) -> String {
        let place = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#a{place}")
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }

    pub(super) fn touches(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    pub(super) fn set(&mut self, name: &str, value: AttributeValue) {
        let change = format!("{} = {}", self.name(name), self.value(value));
        self.set.push(change);
    }

    pub(super) fn remove(&mut self, name: &str) {
        let name = self.name(name);
        self.removed.push(name);
    }

    /// Holds the update to an attribute being what it was.
    pub(super) fn hold(&mut self, name: &str, value: Option<&AttributeValue>) {
        let name = self.name(name);
        let condition = match value {
            Some(value) => format!("{name} = {}", self.value(value.clone())),
            None => format!("attribute_not_exists({name})"),
        };
        self.held.push(condition);
    }

    /// The update of an item that is there and was not deleted; it counts the version up.
    pub(super) fn into_step(self, table: &str, key: Item) -> Step {
        let Self { names, mut set, removed, held, values } = self;
        set.push("#version = #version + :one".to_owned());
        let mut expression = format!("SET {}", set.join(", "));
        if !removed.is_empty() {
            expression = format!("{expression} REMOVE {}", removed.join(", "));
        }
        let there = ["attribute_exists(id)", "attribute_not_exists(deletedAt)"].map(ToOwned::to_owned);
        let condition: Vec<String> = there.into_iter().chain(held).collect();
        let condition = Condition::new(&condition.join(" AND ")).values(values).number(":one", 1);
        let condition = condition.name("#version", "version");
        let named = |condition: Condition, (place, name): (usize, &String)| {
            condition.name(&format!("#a{place}"), name)
        };
        let condition = names.iter().enumerate().fold(condition, named);
        Step::update(table, key, &expression, condition)
    }
}
