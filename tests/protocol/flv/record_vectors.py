"""Make the FLV files under vectors/ with real programs: `python tests/protocol/flv/record_vectors.py`.

They are committed, so that tests need no ffmpeg; this script says where each came from, and makes them again. `MODERN`
is imageio-ffmpeg's ffmpeg, which writes Enhanced RTMP v2; `DEBIAN` the distribution's, for codecs that the other was
built without. vectors/README.md is written along with them.
"""

import subprocess
from pathlib import Path

import imageio_ffmpeg

VECTORS = Path(__file__).parent / "vectors"
MODERN = "MODERN"
DEBIAN = "DEBIAN"

PICTURE = ["-f", "lavfi", "-i", "testsrc=size=160x90:rate=25"]


def tone(rate: int, layout: str = "mono") -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={rate},aformat=channel_layouts={layout}"]


X265 = "info=0:bframes=2:log-level=0"
HDR10 = "hdr10=1:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
BT2020 = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
X264 = ["-c:v", "libx264", "-bf", "2", "-g", "5", "-pix_fmt", "yuv420p", "-x264-params", "threads=1:b-adapt=0"]

FILES: dict[str, tuple[str, list[str]]] = {
    "avc_main": (MODERN, [*PICTURE, *X264, "-profile:v", "main"]),
    "avc_high": (MODERN, [*PICTURE, *X264, "-profile:v", "high"]),
    "avc_high_444": (MODERN, [*PICTURE, *X264, "-pix_fmt", "yuv444p"]),
    "avc_interlaced": (
        MODERN,
        [
            *["-f", "lavfi", "-i", "testsrc=size=160x100:rate=25"],
            *X264,
            "-x264-params",
            "threads=1:b-adapt=0:interlaced=1",
        ],
    ),
    "hevc": (MODERN, [*PICTURE, "-c:v", "libx265", "-x265-params", X265, "-pix_fmt", "yuv420p"]),
    "hevc_hdr10": (
        MODERN,
        [*PICTURE, "-c:v", "libx265", "-x265-params", f"{X265}:{HDR10}", "-pix_fmt", "yuv420p10le", *BT2020],
    ),
    "vvc": (MODERN, [*PICTURE, "-c:v", "libvvenc", "-pix_fmt", "yuv420p10le"]),
    "av1": (MODERN, [*PICTURE, "-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p"]),
    "av1_10bit": (MODERN, [*PICTURE, "-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p10le"]),
    "vp9": (MODERN, [*PICTURE, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"]),
    "vp9_profile_1": (
        MODERN,
        [*PICTURE, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv444p"],
    ),
    "sorenson": (MODERN, [*PICTURE, "-c:v", "flv", "-q:v", "20"]),
    "screen": (DEBIAN, ["-f", "lavfi", "-i", "color=red:size=160x90:rate=25", "-c:v", "flashsv"]),
    "aac": (MODERN, [*tone(48000, "stereo"), "-c:a", "aac"]),
    "aac_5_1": (MODERN, [*tone(48000, "5.1"), "-c:a", "aac", "-b:a", "96k"]),
    "mp3": (MODERN, [*tone(44100), "-c:a", "libmp3lame"]),
    "mp3_48k": (MODERN, [*tone(48000), "-c:a", "libmp3lame"]),
    "opus": (MODERN, [*tone(48000, "stereo"), "-c:a", "libopus"]),
    "opus_5_1": (MODERN, [*tone(48000, "5.1"), "-c:a", "libopus", "-b:a", "96k"]),
    "flac": (MODERN, [*tone(44100), "-c:a", "flac"]),
    "ac3": (MODERN, [*tone(48000), "-c:a", "ac3"]),
    "ac3_5_1": (MODERN, [*tone(48000, "5.1"), "-c:a", "ac3", "-b:a", "192k"]),
    "eac3": (MODERN, [*tone(44100, "stereo"), "-c:a", "eac3", "-b:a", "64k"]),
    "speex": (DEBIAN, [*tone(16000), "-c:a", "libspeex"]),
    "nellymoser": (DEBIAN, [*tone(16000), "-c:a", "nellymoser"]),
    "adpcm": (DEBIAN, [*tone(22050), "-c:a", "adpcm_swf"]),
    "a_law": (DEBIAN, [*tone(8000), "-c:a", "pcm_alaw"]),
    "mu_law": (DEBIAN, [*tone(8000), "-c:a", "pcm_mulaw"]),
    "pcm": (DEBIAN, [*tone(11025), "-c:a", "pcm_s16le"]),
    "both": (DEBIAN, [*PICTURE, *tone(44100, "stereo"), "-c:v", "flv", "-q:v", "31", "-c:a", "aac", "-b:a", "32k"]),
    "multitrack": (
        MODERN,
        [
            *[*PICTURE, *PICTURE, *tone(48000), *tone(48000)],
            *["-map", "0", "-map", "1", "-map", "2", "-map", "3"],
            *[*X264, "-c:v:1", "libx265", "-x265-params", X265, "-c:a:0", "aac", "-c:a:1", "libopus"],
        ],
    ),
}


def main() -> None:
    programs = {MODERN: imageio_ffmpeg.get_ffmpeg_exe(), DEBIAN: "ffmpeg"}
    lines = [
        "# Where these files come from",
        "",
        "Made by `record_vectors.py`, a directory up, from ffmpeg's own test sources, nobody else's.",
        "",
    ]
    for name, program in programs.items():
        version = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout.split(" ")[2]
        lines.append(f"- {name}: ffmpeg {version}")
    lines += ["", "| file | program | arguments |", "| --- | --- | --- |"]
    for name, (program, arguments) in FILES.items():
        common = ["-t", "0.24", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-f", "flv"]
        path = VECTORS / f"{name}.flv"
        command = [programs[program], "-nostdin", "-v", "error", "-y", *arguments, *common]
        subprocess.run([*command, str(path)], check=True)
        lines.append(f"| {name}.flv | {program} | `{' '.join([*arguments, *common])}` |")
    (VECTORS / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
