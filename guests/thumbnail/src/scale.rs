//! Decode, scale, encode: what the `image` crate does, with limits.
//!
//! Fails by [`ScaleError`].

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};
use serde::Deserialize;
use std::io::{BufReader, Cursor, Read, Seek};
use thiserror::Error;

/// The widest and highest image that is decoded, in pixels.
const MAX_DECODED_SIDE: u32 = 16_384;
/// The most memory that the decoder may take, in bytes: a picture of 67 megapixels in RGBA.
const MAX_DECODED_BYTES: u64 = 256 << 20;
/// The longest stem that, with the suffix, still is a valid output name (128 bytes).
const MAX_STEM_BYTES: usize = 110;

/// What a thumbnail is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Png,
    Jpeg,
}

/// Why an image could not be scaled.
#[derive(Debug, Error)]
pub(crate) enum ScaleError {
    /// Reading it failed, or it is neither PNG nor JPEG, or broken, or too large.
    #[error("cannot read the image")]
    Decode(#[source] ImageError),
    /// Writing it failed.
    #[error("cannot write the thumbnail")]
    Encode(#[source] ImageError),
}

/// Decodes an image, whatever its name says, by its first bytes.
pub(crate) fn decode(input: impl Read + Seek) -> Result<DynamicImage, ScaleError> {
    let mut reader = ImageReader::new(BufReader::new(input))
        .with_guessed_format()
        .map_err(|error| ScaleError::Decode(ImageError::IoError(error)))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_DECODED_SIDE);
    limits.max_image_height = Some(MAX_DECODED_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    reader.decode().map_err(ScaleError::Decode)
}

/// Scales an image to fit, keeping its aspect; an image that fits stays as it is.
pub(crate) fn fit(image: &DynamicImage, max_width: u32, max_height: u32) -> DynamicImage {
    if image.width() <= max_width && image.height() <= max_height {
        image.clone()
    } else {
        image.resize(max_width, max_height, FilterType::Lanczos3)
    }
}

/// Encodes an image. JPEG has no transparency and eight bits a channel, so both are given up for it.
pub(crate) fn encode(image: &DynamicImage, format: Format, quality: u8) -> Result<Vec<u8>, ScaleError> {
    let mut bytes = Cursor::new(Vec::new());
    match format {
        Format::Png => image.write_to(&mut bytes, ImageFormat::Png),
        Format::Jpeg => {
            let opaque = DynamicImage::ImageRgb8(image.to_rgb8());
            opaque.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
        }
    }
    .map_err(ScaleError::Encode)?;
    Ok(bytes.into_inner())
}

/// `<stem>-thumbnail.<ext>`, a valid name for an output whatever the input was called.
pub(crate) fn output_name(input: &str, format: Format) -> String {
    let extension = match format {
        Format::Png => "png",
        Format::Jpeg => "jpg",
    };
    let file = input.rsplit(['/', '\\']).next().unwrap_or(input).trim_start_matches('.');
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = &stem[..stem.floor_char_boundary(MAX_STEM_BYTES)];
    let stem = if stem.is_empty() { "image" } else { stem };
    format!("{stem}-thumbnail.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_whatever_the_input_is_called() {
        for (input, output) in [
            ("photo.jpeg", "photo-thumbnail.png"),
            ("photo", "photo-thumbnail.png"),
            ("dir/photo.a.b", "photo.a-thumbnail.png"),
            (".hidden", "hidden-thumbnail.png"),
            ("..", "image-thumbnail.png"),
        ] {
            assert_eq!(output_name(input, Format::Png), output);
        }
        assert!(output_name(&"ü".repeat(200), Format::Jpeg).len() <= 128);
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_not_decoded() {
        // A PNG of 60000 × 60000 pixels, up to where its data would begin.
        let bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\x0f\xb0\xe2\x15\0\0\0\x10IDAT";
        let error = decode(Cursor::new(bytes)).unwrap_err();
        assert!(matches!(error, ScaleError::Decode(ImageError::Limits(_))), "{error:?}");
    }
}
