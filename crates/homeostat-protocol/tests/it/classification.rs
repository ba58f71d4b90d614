//! The best classes of scores.

use bytes::Bytes;
use homeostat_protocol::{Contents, Datatype, Tensor};

fn texts(tensor: &Tensor) -> Vec<String> {
    tensor.to_elements().unwrap().iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

#[test]
fn the_best_come_first_with_their_labels() {
    let labels = ["apple", "pickle", "pear"].map(str::to_owned);
    let scores = Tensor::from_f32("y", [2, 4], &[1.0, 5.5, 10.0, 4.0, 0.25, 0.25, f32::NAN, -1.0]).unwrap();
    let best = scores.classified(3, &labels).unwrap();
    assert_eq!((best.name(), best.datatype(), best.shape()), ("y", Datatype::Bytes, [2, 3].as_slice()));
    assert_eq!(texts(&best), ["10:2:pear", "5.5:1:pickle", "4:3", "0.25:0:apple", "0.25:1:pickle", "-1:3"]);
    let all = scores.classified(9, &[]).unwrap();
    assert_eq!((all.shape(), texts(&all)[4..].join(" ")), ([2, 4].as_slice(), "0.25:0 0.25:1 -1:3 NaN:2".to_owned()));

    let row = Tensor::from_i64("y", [3], &[-1, i64::MAX, i64::MAX - 1]).unwrap();
    let best = row.classified(2, &[]).unwrap();
    assert_eq!(
        (best.shape(), texts(&best)),
        ([2].as_slice(), vec![format!("{}:1", i64::MAX), format!("{}:2", i64::MAX - 1)])
    );
    let unsigned = Contents::Raw(Bytes::copy_from_slice(&[u64::MAX, 1].map(u64::to_le_bytes).concat()));
    let best = Tensor::new("y", Datatype::Uint64, [1, 2], unsigned).unwrap().classified(1, &[]).unwrap();
    assert_eq!(texts(&best), [format!("{}:0", u64::MAX)]);
}

#[test]
fn the_best_of_many_are_those_of_a_whole_sort() {
    let values: Vec<f32> = (0..1000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 16.0).collect();
    let mut sorted: Vec<(f32, usize)> = values.iter().copied().zip(0..).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let scores = Tensor::from_f32("y", [1, 1000], &values).unwrap();
    for count in [0, 1, 5, 999, 1000] {
        let wanted: Vec<_> = sorted[..count].iter().map(|(value, index)| format!("{value}:{index}")).collect();
        assert_eq!(texts(&scores.classified(count, &[]).unwrap()), wanted);
    }
}

#[test]
fn what_has_no_order_has_no_best() {
    for datatype in Datatype::ALL {
        let contents = match datatype.size() {
            Some(size) => Contents::Raw(vec![0; 2 * size].into()),
            None => Contents::Elements(vec![Bytes::new(), Bytes::new()]),
        };
        let result = Tensor::new("y", datatype, [1, 2], contents).unwrap().classified(1, &[]);
        assert_eq!(result.is_err(), matches!(datatype, Datatype::Bool | Datatype::Bytes), "{datatype}");
    }
    let empty = Tensor::from_f32("y", [0, 3], &[]).unwrap();
    assert_eq!(empty.classified(2, &[]).unwrap().shape(), [0, 0]);
}
