//! Short names for what an object contains.

use serde_json::Value;

/// FNV-1a with 32 bits, over the canonical JSON of a pod template and the count of collisions so far.
pub(crate) fn template_hash(template: &Value, collisions: Option<i64>) -> u32 {
    let mut bytes = serde_json::to_vec(&sorted(template)).unwrap_or_default();
    if let Some(collisions) = collisions {
        bytes.extend_from_slice(&collisions.to_le_bytes());
    }
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The value with the fields of every object in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Writes the digits of a number in letters among which no bad words can be formed, as in generated names.
pub(crate) fn safe_encode(number: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    number.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_fields_does_not_matter() {
        let (a, b) = (json!({"x": 1, "y": {"a": 1, "b": 2}}), json!({"y": {"b": 2, "a": 1}, "x": 1}));
        assert_eq!(template_hash(&a, None), template_hash(&b, None));
        assert_ne!(template_hash(&a, None), template_hash(&a, Some(1)));
        assert_ne!(template_hash(&a, None), template_hash(&json!({"x": 2}), None));
    }

    #[test]
    fn digits_become_letters() {
        assert_eq!(safe_encode(1234567890).len(), 10);
        assert!(!safe_encode(u32::MAX).contains(['a', 'e', 'i', 'o', 'u', '1', '3']));
    }
}
