//! Sample job `thumbnail`: every granted image, scaled down, as PNG or JPEG.
//!
//! Images come from strangers, so their size is limited before they are decoded: a small file can claim to be a huge
//! picture. Never scales up. Fails when a granted file is no image that it can read, naming the file.

mod scale;

use hypermesh_guest::{Blob, Context, Job, JobError, Operation, parse_parameters, to_result};
use scale::Format;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Write;

/// The widest and highest thumbnail: more is no thumbnail.
const MAX_SIDE: u32 = 4096;
/// JPEG's usual quality where none is given.
const DEFAULT_QUALITY: u8 = 85;

/// The job.
pub struct Thumbnail;

hypermesh_guest::export_job!(Thumbnail);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    max_width: u32,
    max_height: u32,
    format: Format,
    quality: Option<u8>,
}

/// One thumbnail. Widths and heights are in pixels, `size` is the output's in bytes.
#[derive(Debug, Serialize)]
struct Made {
    input: String,
    output: String,
    original_width: u32,
    original_height: u32,
    width: u32,
    height: u32,
    size: usize,
}

impl Job for Thumbnail {
    fn operations() -> Vec<Operation> {
        let side = json!({ "type": "integer", "minimum": 1, "maximum": MAX_SIDE });
        let schema = json!({
            "type": "object",
            "properties": {
                "max_width": side,
                "max_height": side,
                "format": { "enum": ["png", "jpeg"] },
                "quality": {
                    "type": "integer", "minimum": 1, "maximum": 100, "default": DEFAULT_QUALITY,
                    "description": "of JPEG; PNG has none"
                }
            },
            "required": ["max_width", "max_height", "format"],
            "additionalProperties": false
        });
        vec![Operation::new("thumbnail", "Scales every granted image (PNG, JPEG) down", schema)]
    }

    fn run(context: &mut dyn Context, _operation: &str, parameters: Value) -> Result<Value, JobError> {
        let parameters: Parameters = parse_parameters(parameters)?;
        check(&parameters)?;
        let blobs = context.inputs();
        if blobs.is_empty() {
            return Err(JobError::Failed("no image was granted".to_owned()));
        }
        let total = blobs.len() as u64;
        let mut thumbnails = Vec::with_capacity(blobs.len());
        for (done, blob) in (1..).zip(blobs) {
            let made = make(context, &blob, &parameters)?;
            context.progress(done, Some(total), &made.output);
            thumbnails.push(made);
        }
        to_result(&json!({ "thumbnails": thumbnails }))
    }
}

fn check(parameters: &Parameters) -> Result<(), JobError> {
    for (name, side) in [("max_width", parameters.max_width), ("max_height", parameters.max_height)] {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(JobError::InvalidParameters(format!("`{name}` is not between 1 and {MAX_SIDE}")));
        }
    }
    match (parameters.format, parameters.quality) {
        (Format::Png, Some(_)) => Err(JobError::InvalidParameters("PNG has no `quality`".to_owned())),
        (Format::Jpeg, Some(quality)) if !(1..=100).contains(&quality) => {
            Err(JobError::InvalidParameters("`quality` is not between 1 and 100".to_owned()))
        }
        (Format::Jpeg, Some(_)) | (Format::Png | Format::Jpeg, None) => Ok(()),
    }
}

fn make(context: &mut dyn Context, blob: &Blob, parameters: &Parameters) -> Result<Made, JobError> {
    let named = |error: scale::ScaleError| JobError::Failed(format!("{}: {}", blob.name, chain(&error)));
    let image = scale::decode(context.open(&blob.name)?).map_err(named)?;
    let small = scale::fit(&image, parameters.max_width, parameters.max_height);
    let quality = parameters.quality.unwrap_or(DEFAULT_QUALITY);
    let bytes = scale::encode(&small, parameters.format, quality).map_err(named)?;
    let output = scale::output_name(&blob.name, parameters.format);
    context.create(&output)?.write_all(&bytes)?;
    context.info(&format!("{} → {output}: {} × {}", blob.name, small.width(), small.height()));
    Ok(Made {
        input: blob.name.clone(),
        output,
        original_width: image.width(),
        original_height: image.height(),
        width: small.width(),
        height: small.height(),
        size: bytes.len(),
    })
}

/// An error with its sources, since the caller sees only text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_guest::{dispatch, testing::MemoryContext};
    use image::{DynamicImage, ImageFormat, RgbaImage};
    use std::io::Cursor;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let image = RgbaImage::from_fn(width, height, |x, y| {
            image::Rgba([x.to_le_bytes()[0], 90, y.to_le_bytes()[0], 200])
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgba8(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn run(context: &mut MemoryContext, parameters: &str) -> Result<Value, JobError> {
        dispatch::<Thumbnail>(context, "thumbnail", parameters)
            .map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn images_keep_their_aspect_and_are_what_they_say() {
        for (format, extension) in [("png", "png"), ("jpeg", "jpg")] {
            let mut context = MemoryContext::new().with_input("photo.big.png", &png(400, 200));
            let parameters = format!(r#"{{ "max_width": 100, "max_height": 100, "format": "{format}" }}"#);
            let result = run(&mut context, &parameters).unwrap();
            let made = &result["thumbnails"][0];
            assert_eq!((&made["width"], &made["height"]), (&json!(100), &json!(50)));
            assert_eq!((&made["original_width"], &made["original_height"]), (&json!(400), &json!(200)));
            let name = format!("photo.big-thumbnail.{extension}");
            assert_eq!(made["output"], *name);
            let bytes = context.output(&name).unwrap();
            assert_eq!(made["size"], bytes.len());
            let decoded = image::load_from_memory(&bytes).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (100, 50));
        }
    }

    #[test]
    fn small_images_are_not_scaled_up() {
        let mut context = MemoryContext::new().with_input("dot.png", &png(3, 2));
        let result = run(&mut context, r#"{ "max_width": 64, "max_height": 64, "format": "png" }"#).unwrap();
        assert_eq!(result["thumbnails"][0]["width"], 3);
    }

    #[test]
    fn what_is_no_image_fails_with_its_name() {
        for bytes in [&b"GIF89a"[..], b"", b"not an image", &png(9, 9)[..40]] {
            let mut context = MemoryContext::new().with_input("holiday", bytes);
            let failed = run(&mut context, r#"{ "max_width": 9, "max_height": 9, "format": "png" }"#);
            assert!(matches!(&failed, Err(JobError::Failed(why)) if why.contains("holiday")), "{failed:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            r#"{ "max_width": 0, "max_height": 9, "format": "png" }"#,
            r#"{ "max_width": 9, "max_height": 5000, "format": "png" }"#,
            r#"{ "max_width": 9, "max_height": 9, "format": "bmp" }"#,
            r#"{ "max_width": 9, "max_height": 9, "format": "png", "quality": 50 }"#,
            r#"{ "max_width": 9, "max_height": 9, "format": "jpeg", "quality": 0 }"#,
            "{}",
        ] {
            let mut context = MemoryContext::new().with_input("a.png", &png(20, 20));
            assert!(matches!(run(&mut context, bad), Err(JobError::InvalidParameters(_))), "{bad}");
        }
    }
}
