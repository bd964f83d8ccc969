//! An array of JSON that stops at a number of items: small text can become large values. Knows no route.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer as _, Error, SeqAccess, Visitor};

use super::Refusal;

/// Reads `json`, an array of no more than `most` items.
pub fn read_array<T: DeserializeOwned>(json: &[u8], most: usize) -> Result<Vec<T>, Refusal> {
    let mut is_over = false;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let array = reader.deserialize_seq(UpTo { most, is_over: &mut is_over, items: PhantomData });
    let array = array.and_then(|array| reader.end().map(|()| array));
    array.map_err(|error| {
        if is_over {
            Refusal::new(413, format!("more than {most} in one request; send them in several"))
        } else {
            Refusal::new(400, error.to_string())
        }
    })
}

struct UpTo<'a, T> {
    most: usize,
    is_over: &'a mut bool,
    items: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for UpTo<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            if items.len() == self.most {
                *self.is_over = true;
                return Err(A::Error::custom("too many"));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::read_array;

    #[test]
    fn an_array_is_read_up_to_its_most_and_refused_beyond() {
        assert_eq!(read_array::<u8>(b" [1, 2,3] ", 3), Ok(vec![1, 2, 3]));
        assert_eq!(read_array::<u8>(b"[]", 0), Ok(vec![]));
        for (json, status) in
            [("[1,2,3,4]", 413), ("[1,2", 400), ("[1]x", 400), ("{}", 400), ("[1,2,3,\"", 400)]
        {
            let refusal = read_array::<u8>(json.as_bytes(), 3).unwrap_err();
            assert_eq!(refusal.status(), status, "{json}");
        }
    }
}
