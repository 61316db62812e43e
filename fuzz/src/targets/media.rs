//! What is inside a seal, and files with pictures and sound.

use super::Feed;
use facetty::media::frame::Coded;
use facetty::media::{wav, y4m};
use facetty::time::MediaTime;
use facetty::wire::media::{
    OPUS_CAP, PICTURE_CAP, Padding, SIZE_CAP, decode, encode_audio, encode_video,
};
use facetty::wire::sframe::StreamKind;

/// Opened frames. Each value has one encoding per amount of padding.
pub(super) fn media(data: &[u8]) {
    for stream in StreamKind::ALL {
        match decode(stream, data) {
            Ok(Coded::Audio(packet)) => {
                assert!(packet.bytes.len() <= OPUS_CAP && packet.level < 128);
                let lengths = [0, data.len()];
                assert!(lengths.iter().any(|pad_to| encode_audio(&packet, *pad_to) == data));
            }
            Ok(Coded::Video(picture)) => {
                assert!(picture.bytes.len() <= PICTURE_CAP);
                assert!(picture.size.width <= SIZE_CAP.width);
                assert!(picture.size.height <= SIZE_CAP.height);
                let whole = u16::try_from(data.len()).unwrap_or(u16::MAX);
                let paddings = [Padding::None, Padding::Multiple(whole)];
                let fits = paddings.iter().any(|padding| encode_video(&picture, *padding) == data);
                assert!(fits || data.len() > 1 << 15);
            }
            Err(_) => {}
        }
    }
}

/// Y4M: header line, then planes. Pictures have the size the header says, times and numbers of
/// pictures are each other's inverse.
pub(super) fn y4m(data: &[u8]) {
    let _ = y4m::parse_frame_line(data);
    let end = data.iter().position(|b| *b == b'\n').map_or(data.len(), |at| at + 1);
    let (line, planes) = data.split_at(end);
    let Ok(header) = y4m::Header::parse(line) else { return };
    let mut feed = Feed(planes);
    let index = u64::from(feed.u16()) << 16 | u64::from(feed.u16());
    assert_eq!(header.index_at(header.time_of(index)), index);
    assert!(header.picture(planes, MediaTime(0)).is_none() || planes.len() >= header.frame_bytes());
    if header.frame_bytes() <= 1 << 16 {
        let mut all = planes.to_vec();
        all.resize(header.frame_bytes(), 7);
        let picture = header.picture(&all, MediaTime(0)).expect("whole");
        assert_eq!(picture.size, header.size());
        assert_eq!(picture.y.len(), header.size().luma());
        let chroma = header.size().chroma();
        assert_eq!((picture.u.len(), picture.v.len()), (chroma, chroma));
    }
}

/// WAV: sound that any mixer can take, not more of it than bytes, and ours read back.
pub(super) fn wav(data: &[u8]) {
    let Ok(sound) = wav::parse(data) else { return };
    assert!(sound.samples.len() <= data.len());
    assert!(sound.samples.iter().all(|sample| sample.is_finite()));
    assert_eq!(sound.samples.len() % usize::from(sound.channels), 0);
    let own = wav::write(&sound.samples);
    let again = wav::parse(&own).expect("our own file");
    assert_eq!((again.rate, again.channels), (48_000, 1));
    assert_eq!(again.samples.len(), sound.samples.len());
    assert_eq!(wav::write(&again.samples), own);
}
