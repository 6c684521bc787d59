//! Thousands of malformed requests at a running node, made from what the node itself says that it takes (FAULTS A5, F9, F10).

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath_fuzz::{Random, mutate};
use towpath_testnet::{Plan, Topology};
use towpath_tests::http::Api;
use towpath_tests::kit::{Net, until};

/// Requests for each operation.
const REQUESTS: usize = 200;

/// How long an answer may take to begin; the longest wait that the API offers is not asked for.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// One operation of the OpenAPI document.
struct Operation {
    method: String,
    path: String,
    queries: Vec<String>,
    body: Option<Value>,
}

fn operations(document: &Value) -> Vec<Operation> {
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
struct Hostile<'a> {
    random: Random,
    document: &'a Value,
    /// Ids that mean something to the node.
    known: Vec<String>,
}

impl Hostile<'_> {
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
            0 | 1 => self.random.pick(&self.known).cloned().unwrap_or_default(),
            2 => {
                let mut text = self.random.pick(&self.known).cloned().unwrap_or_default().into_bytes();
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

    /// The bytes of a request that says what it wants and closes.
    fn request(&mut self, operation: &Operation, api: &Api) -> Vec<u8> {
        let mut body = Vec::new();
        if let Some(schema) = &operation.body {
            body = serde_json::to_vec(&self.body(schema, 0)).expect("JSON");
            if self.chance(8) {
                mutate(&mut self.random, &mut body, b"{\"amount\":\"1\",[]}", 8_192);
            }
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", operation.method, self.path(operation));
        head.push_str(&format!(
            "host: {}\r\nauthorization: {}\r\nconnection: close\r\n",
            api.address,
            api.bearer()
        ));
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

/// The status of the answer, and as much of it as came with it. Streams of events never end by themselves: nobody waits for
/// that.
async fn status(api: &Api, request: &[u8]) -> (u16, String) {
    let mut stream = api.connect().await;
    // The node may answer, and close, before all of it is written.
    let _refused_early = stream.write_all(request).await;
    let mut text = Vec::new();
    let mut part = [0; 4_096];
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = tokio::time::timeout(ANSWER_MAX, stream.read(&mut part)).await.expect("an answer in time");
        match read {
            Ok(0) | Err(_) => break,
            Ok(read) => text.extend_from_slice(&part[..read]),
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, text)
}

/// Ids of everything that the node knows, so that some requests get past the first check.
async fn known_ids(net: &Net, channel: &str) -> Vec<String> {
    let alice = net.client("alice");
    let info = alice.info().await.expect("it answers");
    let info = serde_json::to_value(info).expect("JSON");
    let mut known = vec![channel.to_owned(), channel[..14].to_owned()];
    collect(&info, &mut known);
    known
}

/// Every text of an answer.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn a5_f9_f10_thousands_of_malformed_requests_get_an_answer_each_and_change_nothing_else() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(1_000_000).await[..] else { panic!("one channel") };
    let api = Api::of(net.node("alice"));
    let document = net.client("alice").openapi().await.expect("the OpenAPI document");
    let known = known_ids(&net, &edge.channel).await;
    let operations = operations(&document);
    assert!(operations.len() >= 28, "{} operations", operations.len());
    let mut hostile = Hostile { random: Random::new(1, "api"), document: &document, known };
    let mut answered = 0;
    for operation in &operations {
        for _ in 0..REQUESTS {
            let request = hostile.request(operation, &api);
            let (status, answer) = status(&api, &request).await;
            let shown = || format!("{}\n{answer}", String::from_utf8_lossy(&request));
            assert!(status >= 200, "no answer to {}", shown());
            assert!(status < 500 || status == 503, "the node fails at {}", shown());
            answered += 1;
        }
    }
    assert!(answered >= 5_600, "{answered} requests");
    // Some of it was valid by chance, and paid, streamed or closed: both still agree on the channel, to the unit.
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    until("both agree", async || {
        let (here, there) =
            (alice.channel(&edge.channel).await.ok()?, bob.channel(&edge.channel).await.ok()?);
        let agree = here.balance == there.peer_balance && here.peer_balance == there.balance;
        (agree && here.version == there.version).then_some(())
    })
    .await;
}
