//! Keys and values of the tokens that a decoder has read, so that each new token is computed alone:
//! generation. Whose they are and what is done with them is left to `causal` and `stages`.

use tch::{TchError, Tensor};

/// What a decoder remembers of some texts, each of its own length. It belongs to the model that
/// filled it, as its weights are then.
#[derive(Debug)]
pub struct Cache {
    /// One for each layer; none before the first tokens.
    layers: Vec<KeyValues>,
    lengths: Vec<i64>,
}

impl Cache {
    /// Of so many texts, of which nothing has been read yet.
    pub fn new(texts: usize) -> Cache {
        Cache { layers: Vec::new(), lengths: vec![0; texts] }
    }

    /// Tokens that were read of each text.
    pub fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Goes on with these of its texts, in this order: those that are not named are forgotten, and
    /// one that is named twice becomes two.
    ///
    /// # Errors
    /// A text that is not there; no memory.
    pub fn select(&mut self, texts: &[i64]) -> Result<(), TchError> {
        let there = self.lengths.len() as i64;
        if let Some(other) = texts.iter().find(|it| !(0..there).contains(*it)) {
            return Err(TchError::Shape(format!("text {other} of a cache of {there}")));
        }
        let layers = self.layers.iter().map(|it| it.select(texts)).collect::<Result<_, _>>()?;
        let lengths = texts.iter().map(|it| self.lengths[*it as usize]).collect();
        *self = Cache { layers, lengths };
        Ok(())
    }

    /// Forgets what was read of each text after so many tokens.
    pub fn truncate(&mut self, tokens: i64) {
        self.lengths.iter_mut().for_each(|it| *it = tokens.clamp(0, *it));
    }

    /// Of so many layers; the same at each call.
    pub(crate) fn layers(&mut self, n: usize) -> &mut [KeyValues] {
        self.layers.resize_with(n, KeyValues::default);
        &mut self.layers
    }

    /// What its layers were given has become part of its texts.
    pub(crate) fn grow(&mut self, by: &[i64]) {
        self.lengths.iter_mut().zip(by).for_each(|(it, by)| *it += by);
    }
}

/// Of one layer.
#[derive(Debug, Default)]
pub(crate) struct KeyValues(Option<[Tensor; 2]>);

impl KeyValues {
    /// Has room for so many texts, and for so many tokens of each; `like`: (any, groups, head).
    ///
    /// # Errors
    /// It is a cache of another number of texts.
    pub(crate) fn make_room(
        &mut self,
        texts: i64,
        tokens: i64,
        like: &Tensor,
    ) -> Result<(), TchError> {
        /// Room grows by doubling, so that it is rarely copied, from this many tokens on.
        const ROOM_MIN: i64 = 64;
        let (_, groups, head) = like.size3()?;
        let made =
            |room: i64| Tensor::f_zeros([texts, groups, room, head], (like.kind(), like.device()));
        let Some(both) = &mut self.0 else {
            let room = tokens.max(ROOM_MIN);
            self.0 = Some([made(room)?, made(room)?]);
            return Ok(());
        };
        let (there, room) = (both[0].size()[0], both[0].size()[2]);
        if there != texts {
            return Err(TchError::Shape(format!("{texts} texts for a cache of {there}")));
        }
        if room < tokens {
            for it in both {
                let larger = made(tokens.max(2 * room))?;
                larger.f_narrow(2, 0, room)?.f_copy_(it)?;
                *it = larger;
            }
        }
        Ok(())
    }

    /// Writes keys and values, (texts, groups, tokens, head) each, of texts from `text` on, behind
    /// `past` tokens, and gives all of theirs.
    pub(crate) fn append(
        &mut self,
        text: i64,
        past: i64,
        new: [&Tensor; 2],
    ) -> Result<[Tensor; 2], TchError> {
        let Some(both) = &self.0 else {
            return Err(TchError::Shape("a cache without room".into()));
        };
        let part = |which: usize| {
            let (texts, _, tokens, _) = new[which].size4()?;
            let all = both[which].f_narrow(0, text, texts)?.f_narrow(2, 0, past + tokens)?;
            all.f_narrow(2, past, tokens)?.f_copy_(new[which])?;
            Ok::<_, TchError>(all)
        };
        Ok([part(0)?, part(1)?])
    }

    fn select(&self, texts: &[i64]) -> Result<KeyValues, TchError> {
        let Some([keys, values]) = &self.0 else { return Ok(KeyValues(None)) };
        let index = Tensor::f_from_slice(texts)?.f_to(keys.device())?;
        Ok(KeyValues(Some([keys.f_index_select(0, &index)?, values.f_index_select(0, &index)?])))
    }
}
