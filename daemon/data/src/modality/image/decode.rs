//! Decodes every image once, on several threads: what can't be decoded goes to quarantine, of the
//! rest is noted what the report and the search for near duplicates need.

use super::store::Images;
use crate::example::{At, Key, key_of};
use crate::progress::Steps;
use crate::quarantine::{Reason, Usable};
use crate::reading::Reading;
use finetuned_images::{Colour, Facts, Format, Look, Pixels};
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: Format,
    pub(super) colour: Colour,
    pub(super) look: Look,
    /// Of red, green and blue, and of their squares; 0 to 1.
    pub(super) mean: [f32; 3],
    pub(super) square: [f32; 3],
    /// One colour throughout.
    pub(super) blank: bool,
}

type Verdict = Usable<(Key, Seen)>;

/// What was seen of the images that can be used; the others are left out of the reading. Keys of
/// the examples and bytes of the folders are filled in.
pub(super) fn decode(
    images: &Images,
    reading: &mut Reading<'_, '_>,
) -> Result<HashMap<Key, Seen>, Failure> {
    let examples = std::mem::take(&mut reading.gather.examples);
    let at = |idx: usize| examples.get(idx).and_then(|it| it.0.record.image.as_ref());
    let bytes = |idx: usize| at(idx).map_or(0, |it| images.len(it));
    let mut steps = Steps::new(Phase::Reading, Some((0..examples.len()).map(bytes).sum()));
    let mut verdicts: Vec<Option<Result<(Key, Seen), Reason>>> =
        examples.iter().map(|_| None).collect();
    on_threads(
        examples.len(),
        reading.request.threads,
        &|idx| at(idx).map_or(Ok(Err(Reason::NoImage)), |it| look(images, it)),
        &mut |idx, verdict: Verdict| {
            steps.add(bytes(idx), reading.progress);
            verdicts[idx] = Some(verdict?);
            Ok(())
        },
    )?;
    let origins = reading.origins();
    let mut all = HashMap::new();
    for ((mut example, split), verdict) in examples.into_iter().zip(verdicts) {
        match verdict {
            Some(Ok((key, seen))) => {
                let file = &mut reading.files[example.file as usize];
                if matches!(example.record.image, Some(At::File(_)))
                    && file.format == "image_folders"
                {
                    file.bytes += seen.bytes;
                }
                example.key = key;
                all.insert(key, seen);
                reading.gather.examples.push((example, split));
            }
            Some(Err(reason)) => {
                let (file, line) = origins.place(&example);
                reading.gather.ward.admit(&file, line, &reason)?;
            }
            None => {}
        }
    }
    Ok(all)
}

/// Calls `work` for each of 0..n on `threads` threads, and `take` on this one, as the results come;
/// ends with the first error of `take`.
pub(super) fn on_threads<R: Send>(
    n: usize,
    threads: usize,
    work: &(dyn Fn(usize) -> R + Sync),
    take: &mut dyn FnMut(usize, R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    /// Results that wait to be taken, for each thread.
    const WAITING_MAX: usize = 16;
    let threads = threads.clamp(1, n.max(1));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(threads * WAITING_MAX);
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let idx = next.fetch_add(1, Ordering::Relaxed);
                    // The receiver goes away at the first error.
                    if n <= idx || send.send((idx, work(idx))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        receive.into_iter().try_for_each(|(idx, result)| take(idx, result))
    })
}

fn look(images: &Images, at: &At) -> Verdict {
    let bytes = match images.read(at)? {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    let decoded = guarded(|| finetuned_images::decode(&bytes).map_err(Reason::ImageBroken));
    Ok(decoded.and_then(|(facts, pixels)| {
        Ok((key_of(&bytes), seen(bytes.len() as u64, facts, &pixels)?))
    }))
}

fn seen(bytes: u64, facts: Facts, pixels: &Pixels) -> Result<Seen, Reason> {
    let look = guarded(|| Ok(Look::of(pixels)))?;
    let (sum, squares) = sums(pixels.data());
    let (rgb, _) = pixels.data().as_chunks::<3>();
    let n = rgb.len() as f64;
    Ok(Seen {
        bytes,
        width: facts.width,
        height: facts.height,
        format: facts.format,
        colour: facts.colour,
        look,
        mean: sum.map(|it| (it as f64 / n / 255.0) as f32),
        square: squares.map(|it| (it as f64 / n / (255.0 * 255.0)) as f32),
        blank: rgb.iter().all(|it| it == &rgb[0]),
    })
}

/// Of red, green and blue, and of their squares; sixteen pixels at a time, which a processor adds
/// at once.
fn sums(values: &[u8]) -> ([u64; 3], [u64; 3]) {
    const LANES: usize = 16 * 3;
    /// The sum of so many squares fits into 32 bits: nothing below wraps, and checking it would
    /// cost all that is gained.
    const CHUNKS_MAX: usize = (u32::MAX / (255 * 255)) as usize;
    let (mut sum, mut squares) = ([0_u64; 3], [0_u64; 3]);
    for part in values.chunks(LANES * CHUNKS_MAX) {
        let (chunks, rest) = part.as_chunks::<LANES>();
        let (mut sum_lanes, mut square_lanes) = ([0_u32; LANES], [0_u32; LANES]);
        for chunk in chunks {
            for lane in 0..LANES {
                let value = u16::from(chunk[lane]);
                sum_lanes[lane] = sum_lanes[lane].wrapping_add(value.into());
                square_lanes[lane] = square_lanes[lane].wrapping_add((value * value).into());
            }
        }
        for lane in 0..LANES {
            sum[lane % 3] += u64::from(sum_lanes[lane]);
            squares[lane % 3] += u64::from(square_lanes[lane]);
        }
        for (at, value) in rest.iter().enumerate() {
            sum[at % 3] += u64::from(*value);
            squares[at % 3] += u64::from(*value).pow(2);
        }
    }
    (sum, squares)
}

/// A decoder that panics on a stranger's file costs that file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Reason>) -> Result<T, Reason> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Reason::ImagePanicked))
}
