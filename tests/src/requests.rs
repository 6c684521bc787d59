//! Malformed requests from what a node itself says that it takes, its OpenAPI document: bodies that fit their schemas here
//! and there, ids that mean something, paths and numbers at every edge.

use serde_json::{Map, Value, json};
use towpath_fuzz::{Random, mutate};

use crate::http::Api;

/// One operation of the OpenAPI document.
pub struct Operation {
    method: String,
    path: String,
    queries: Vec<String>,
    body: Option<Value>,
}

/// All operations of an OpenAPI document.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let queries = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let name = |parameter: &Value| parameter["name"].as_str().expect("a name").to_owned();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                queries: queries.map(name).collect(),
                body: (!body.is_null()).then(|| body.clone()),
            });
        }
    }
    all
}

/// Requests from a seed.
pub struct Requests<'a> {
    random: Random,
    document: &'a Value,
    /// Ids that mean something to the node.
    known: &'a [String],
}

impl<'a> Requests<'a> {
    /// From this seed, for a node that knows these ids.
    #[must_use]
    pub fn new(seed: u64, document: &'a Value, known: &'a [String]) -> Self {
        Self { random: Random::new(seed, "api"), document, known }
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.random.below(one_in) == 0
    }

    fn text(&mut self) -> String {
        let texts = [
            "",
            "0",
            "-1",
            "1",
            "00",
            "1e9",
            "18446744073709551615",
            "18446744073709551616",
            " 1",
            "chan1",
            "chan1qqqqqqqq",
            "node1",
            "../../../etc/passwd",
            "..%2f..%2f",
            "\0",
            "\r\n\r\nGET / HTTP/1.1",
            "\u{202e}\u{feff}💥",
            "true",
            "null",
            "/ip4/127.0.0.1/tcp/1",
            "{}",
            "'; drop table",
        ];
        match self.random.below(8) {
            0 | 1 => self.random.pick(self.known).cloned().unwrap_or_default(),
            2 => {
                let mut text = self.random.pick(self.known).cloned().unwrap_or_default().into_bytes();
                mutate(&mut self.random, &mut text, b"1qz", 4_096);
                String::from_utf8_lossy(&text).into_owned()
            }
            3 => "9".repeat(1 + self.random.below(3_000)),
            _ => (*self.random.pick(&texts).unwrap_or(&"")).to_owned(),
        }
    }

    fn value(&mut self) -> Value {
        match self.random.below(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(1.5),
            4 => json!(u64::MAX),
            5 => json!(1e300),
            6 => json!([]),
            7 => json!({ "amount": self.text() }),
            8 => (0..self.random.below(150)).fold(Value::Null, |inner, _| json!([inner])),
            _ => json!(self.text()),
        }
    }

    /// A body that fits the schema here and there.
    fn body(&mut self, schema: &Value, depth: usize) -> Value {
        if self.chance(12) || depth > 6 {
            return self.value();
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let document = self.document;
            return self.body(&document["components"]["schemas"][name], depth + 1);
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let chosen = self.random.pick(choices).cloned().unwrap_or_default();
                return self.body(&chosen, depth + 1);
            }
        }
        if let Some(properties) = schema["properties"].as_object() {
            let mut object = Map::new();
            for (name, property) in properties {
                if !self.chance(5) {
                    object.insert(name.clone(), self.body(property, depth + 1));
                }
            }
            if self.chance(6) {
                object.insert(self.text(), self.value());
            }
            return Value::Object(object);
        }
        if let Some(choices) = schema["enum"].as_array() {
            return self.random.pick(choices).cloned().unwrap_or_default();
        }
        match schema["type"].as_str() {
            Some("array") => {
                (0..self.random.below(4)).map(|_| self.body(&schema["items"], depth + 1)).collect()
            }
            Some("boolean") => json!(self.chance(2)),
            Some("integer") => json!(self.random.number() >> self.random.below(64)),
            _ => json!(self.text()),
        }
    }

    fn path(&mut self, operation: &Operation) -> String {
        let mut path = String::new();
        for part in operation.path.split_inclusive('/') {
            if part.starts_with('{') {
                path.push_str(&percent(&self.text()));
                path.push_str(if part.ends_with('/') { "/" } else { "" });
            } else {
                path.push_str(part);
            }
        }
        let mut sign = '?';
        for name in &operation.queries {
            for _ in 0..self.random.below(3) {
                path.push(sign);
                path.push_str(&format!("{name}={}", percent(&self.text())));
                sign = '&';
            }
        }
        path
    }

    /// The bytes of a request, on a connection on which another may follow.
    ///
    /// # Panics
    /// When a body cannot be written, which none of these is.
    pub fn request(&mut self, operation: &Operation, api: &Api) -> Vec<u8> {
        let mut body = Vec::new();
        if let Some(schema) = &operation.body {
            body = serde_json::to_vec(&self.body(schema, 0)).expect("JSON");
            if self.chance(8) {
                mutate(&mut self.random, &mut body, b"{\"amount\":\"1\",[]}", 8_192);
            }
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", operation.method, self.path(operation));
        head.push_str(&format!("host: {}\r\nauthorization: {}\r\n", api.address, api.bearer()));
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        if self.chance(4) {
            let key: String = self.text().chars().filter(|letter| !letter.is_control()).collect();
            head.push_str(&format!("idempotency-key: {key}\r\n"));
        }
        head.push_str("\r\n");
        [head.into_bytes(), body].concat()
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Every text of an answer.
pub fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
