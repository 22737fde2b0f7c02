//! Medians and their spread. Pure.

/// What several runs gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// `None` of no values at all.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    };
    Some(Spread { median, least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        let rows: [(&[f64], f64); 4] = [
            (&[3.0], 3.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[4.0, 1.0, 2.0, 100.0], 3.0),
            (&[5.0, 5.0, 1.0, 7.0, 900.0], 5.0),
        ];
        for (values, expected) in rows {
            let found = spread(values).unwrap();
            assert!((found.median - expected).abs() < f64::EPSILON, "{values:?}");
        }
    }

    #[test]
    fn the_spread_is_the_least_and_the_most() {
        let found = spread(&[2.0, 8.0, 5.0]).unwrap();
        assert_eq!(found, Spread { median: 5.0, least: 2.0, most: 8.0 });
        assert_eq!(spread(&[]), None);
    }
}
