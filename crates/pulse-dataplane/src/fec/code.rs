//! The Reed-Solomon code itself, over GF(2^16), by the crate `reed-solomon-simd`.
//!
//! Encoding is the crate's (its high rate, whatever k and r: the bytes are our protocol). Its decoder costs 190 µs however
//! little is lost, for it is made for tens of thousands of shards; here the parity of what is known is encoded again, and
//! what it differs by is solved for the few that are missing. Invariant: working space is made once.

use std::fmt;

use reed_solomon_simd::engine::tables::{ExpLog, get_exp_log};
use reed_solomon_simd::engine::{DefaultEngine, Engine, GfElement, utils};
use reed_solomon_simd::rate::{HighRateEncoder, RateEncoder};

use super::{CHUNK, CHUNKS, MOST_PARITY, RECORDS, Shard};

/// Coefficients of some parity rows in some missing records.
type Matrix = [[GfElement; MOST_PARITY]; MOST_PARITY];

/// Make the code's tables (8 MiB), so that no packet waits for them.
pub fn warm_up() {
    drop(Code::default());
}

/// Encodes, and solves for what is missing.
pub struct Code {
    encoder: HighRateEncoder<DefaultEngine>,
    engine: DefaultEngine,
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Code").finish_non_exhaustive()
    }
}

/// One parity shard at hand.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which of the block's it is.
    pub number: usize,
    /// Its bytes; after `solve` those of a missing record.
    pub shard: Shard,
}

impl Default for Code {
    /// Working space for the largest block.
    fn default() -> Self {
        let made = HighRateEncoder::new(RECORDS, MOST_PARITY, CHUNKS * CHUNK, DefaultEngine::new(), None);
        let Ok(encoder) = made else { unreachable!("the code serves thousands of shards") };
        Self { encoder, engine: DefaultEngine::new() }
    }
}

impl Code {
    /// The `parity` shards over `shards`, each of so many pieces: `take` is given each with its number.
    pub fn encode<'s>(
        &mut self,
        shards: impl ExactSizeIterator<Item = &'s [[u8; CHUNK]]>,
        parity: usize,
        chunks: usize,
        mut take: impl FnMut(usize, &[u8]),
    ) {
        let Ok(()) = self.encoder.reset(shards.len(), parity, chunks * CHUNK) else {
            unreachable!("a block is no larger than what the encoder was made for")
        };
        for shard in shards {
            let Ok(()) = self.encoder.add_original_shard(shard.as_flattened()) else {
                unreachable!("all shards of a block are as long as its longest")
            };
        }
        let Ok(encoded) = self.encoder.encode() else { unreachable!("as many shards as were announced") };
        encoded.recovery_iter().enumerate().for_each(|(number, shard)| take(number, shard));
    }

    /// Turn the first of `rows` (of `parity` in all) into the records that `shards` lacks, in their order; as many rows
    /// as records are missing must be there. All are of so many pieces.
    pub fn solve(&mut self, shards: &[Option<&[[u8; CHUNK]]>], rows: &mut [Row], parity: usize, chunks: usize) {
        let missing = Missing::of(shards);
        let rows = &mut rows[..missing.count];
        let mut matrix = self.coefficients(&missing, rows, shards.len(), parity);
        let zero = [[0; CHUNK]; CHUNKS];
        let known = shards.iter().map(|shard| shard.unwrap_or(&zero[..chunks]));
        self.encode(known, parity, chunks, |number, shard| {
            for row in rows.iter_mut().filter(|row| row.number == number) {
                let (own, _) = row.shard.as_flattened_mut().split_at_mut(chunks * CHUNK);
                own.iter_mut().zip(shard).for_each(|(own, known)| *own ^= known);
            }
        });
        self.eliminate(&mut matrix, rows, chunks);
    }

    /// What each missing record is multiplied by in each of these rows: the code works on each element alone, so that one
    /// short block with a one at another place of each shard shows them all.
    fn coefficients(&mut self, missing: &Missing, rows: &[Row], records: usize, parity: usize) -> Matrix {
        let one = get_exp_log().exp[0].to_le_bytes();
        let mut probe = [[[0; CHUNK]; 1]; RECORDS];
        for (place, shard) in probe.iter_mut().enumerate() {
            (shard[0][place], shard[0][CHUNK / 2 + place]) = (one[0], one[1]);
        }
        let mut matrix = Matrix::default();
        self.encode(probe[..records].iter().map(|shard| &shard[..]), parity, 1, |number, shard| {
            for (_, line) in rows.iter().zip(&mut matrix).filter(|(row, _)| row.number == number) {
                for (place, cell) in missing.places[..missing.count].iter().zip(line) {
                    *cell = GfElement::from_le_bytes([shard[*place], shard[CHUNK / 2 + place]]);
                }
            }
        });
        matrix
    }

    /// Gauss and Jordan. A Reed-Solomon code has no singular matrix, so a pivot is always found.
    fn eliminate(&self, matrix: &mut Matrix, rows: &mut [Row], chunks: usize) {
        let tables = get_exp_log();
        for column in 0..rows.len() {
            let Some(pivot) = (column..rows.len()).find(|line| matrix[*line][column] != 0) else { return };
            matrix.swap(column, pivot);
            rows.swap(column, pivot);
            let inverse = inverse(tables, matrix[column][column]);
            matrix[column].iter_mut().for_each(|cell| *cell = product(tables, *cell, inverse));
            self.scale(&mut rows[column].shard[..chunks], inverse);
            let (line, shard) = (matrix[column], rows[column].shard);
            for other in (0..rows.len()).filter(|other| *other != column) {
                let factor = matrix[other][column];
                if factor == 0 {
                    continue;
                }
                let mut scaled = shard;
                self.scale(&mut scaled[..chunks], factor);
                utils::xor(&mut rows[other].shard[..chunks], &scaled[..chunks]);
                let cells = matrix[other].iter_mut().zip(&line);
                cells.for_each(|(cell, own)| *cell ^= product(tables, *own, factor));
            }
        }
    }

    fn scale(&self, shard: &mut [[u8; CHUNK]], factor: GfElement) {
        self.engine.mul(shard, get_exp_log().log[usize::from(factor)]);
    }
}

/// Which shards are not there, in order.
struct Missing {
    places: [usize; MOST_PARITY],
    count: usize,
}

impl Missing {
    fn of(shards: &[Option<&[[u8; CHUNK]]>]) -> Self {
        let mut missing = Self { places: [0; MOST_PARITY], count: 0 };
        let places = shards.iter().enumerate().filter(|(_, shard)| shard.is_none()).map(|(place, _)| place);
        for (slot, place) in missing.places.iter_mut().zip(places) {
            *slot = place;
            missing.count += 1;
        }
        missing
    }
}

fn product(tables: &ExpLog, one: GfElement, other: GfElement) -> GfElement {
    if one == 0 || other == 0 {
        return 0;
    }
    let sum = u32::from(tables.log[usize::from(one)]) + u32::from(tables.log[usize::from(other)]);
    // Modulo 65,535, which stands for 0 as 0 does.
    tables.exp[((sum + (sum >> 16)) & 0xffff) as usize]
}

fn inverse(tables: &ExpLog, element: GfElement) -> GfElement {
    tables.exp[usize::from(GfElement::MAX - tables.log[usize::from(element)])]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reed_solomon_simd::ReedSolomonDecoder;
    use reed_solomon_simd::rate::{HighRateDecoder, RateDecoder};

    use super::*;
    use crate::vectors::{check, hex};

    fn shard(seed: usize, chunks: usize) -> Shard {
        let mut shard = [[0; CHUNK]; CHUNKS];
        let bytes = shard[..chunks].as_flattened_mut().iter_mut().enumerate();
        bytes.for_each(|(at, byte)| *byte = (seed * 89 + at * 31 + at / 7) as u8);
        shard
    }

    fn parity(code: &mut Code, shards: &[Shard], parity: usize, chunks: usize) -> Vec<Row> {
        let mut rows = vec![];
        code.encode(shards.iter().map(|shard| &shard[..chunks]), parity, chunks, |number, bytes| {
            let mut shard = [[0; CHUNK]; CHUNKS];
            shard.as_flattened_mut()[..bytes.len()].copy_from_slice(bytes);
            rows.push(Row { number, shard });
        });
        rows
    }

    fn case() -> impl Strategy<Value = (usize, usize, usize, Vec<usize>, Vec<usize>)> {
        (1..=RECORDS, 1..=MOST_PARITY, 1..=CHUNKS).prop_flat_map(|(records, parity, chunks)| {
            let shuffled = |count: usize| Just((0..count).collect::<Vec<_>>()).prop_shuffle();
            (Just(records), Just(parity), Just(chunks), shuffled(records), shuffled(parity))
        })
    }

    proptest! {
        #[test]
        fn any_losses_up_to_the_parity_are_solved((records, parity_count, chunks, lost, order) in case(), share in 0..=MOST_PARITY) {
            let shards: Vec<Shard> = (0..records).map(|seed| shard(seed, chunks)).collect();
            let mut code = Code::default();
            let rows = parity(&mut code, &shards, parity_count, chunks);
            let mut rows: Vec<Row> = order.iter().map(|number| rows[*number]).collect();
            let lost = &lost[..share.min(parity_count).min(records)];
            let left: Vec<_> = (0..records).map(|place| (!lost.contains(&place)).then(|| &shards[place][..chunks])).collect();
            code.solve(&left, &mut rows, parity_count, chunks);
            let mut missing = lost.to_vec();
            missing.sort_unstable();
            for (row, place) in rows.iter().zip(missing) {
                prop_assert_eq!(row.shard, shards[place]);
            }
        }
    }

    #[test]
    fn the_crates_own_decoder_agrees() -> Result<(), reed_solomon_simd::Error> {
        let (chunks, shards) = (3, (0..RECORDS).map(|seed| shard(seed, 3)).collect::<Vec<_>>());
        let rows = parity(&mut Code::default(), &shards, 4, chunks);
        let mut decoder = HighRateDecoder::new(RECORDS, 4, chunks * CHUNK, DefaultEngine::new(), None)?;
        for (place, shard) in shards.iter().enumerate().skip(4) {
            decoder.add_original_shard(place, shard[..chunks].as_flattened())?;
        }
        for row in &rows {
            decoder.add_recovery_shard(row.number, row.shard[..chunks].as_flattened())?;
        }
        let decoded = decoder.decode()?;
        for (place, shard) in shards.iter().enumerate().take(4) {
            assert_eq!(decoded.restored_original(place), Some(shard[..chunks].as_flattened()));
        }
        assert!(ReedSolomonDecoder::new(RECORDS, 4, chunks * CHUNK).is_ok());
        Ok(())
    }

    #[test]
    fn the_vectors_hold() {
        let about = "parity shards of Reed-Solomon over GF(2^16), Cantor basis (Leopard), high rate; byte a of data shard n is (89 n + 31 a + a / 7) mod 256";
        let vectors =
            [(1, 1, 1), (2, 2, 1), (5, 3, 2), (20, 2, 1), (20, 4, 1), (20, 8, 1)].map(|(records, count, chunks)| {
                let shards: Vec<Shard> = (0..records).map(|seed| shard(seed, chunks)).collect();
                let rows = parity(&mut Code::default(), &shards, count, chunks);
                let bytes: Vec<u8> = rows.iter().flat_map(|row| row.shard[..chunks].as_flattened().to_vec()).collect();
                vec![
                    ("k", records.to_string()),
                    ("r", count.to_string()),
                    ("shard_bytes", (chunks * CHUNK).to_string()),
                    ("parity_hex", hex(&bytes)),
                ]
            });
        check("parity_code.json", about, &vectors);
    }
}
