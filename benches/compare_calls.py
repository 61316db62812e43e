#!/usr/bin/env python3
"""facetty beside WebRTC stacks on the same bad lines.

    python3 benches/compare_calls.py                             table, all scenarios, all stacks
    python3 benches/compare_calls.py --scenario loss-20 --stack facetty --runs 1
    python3 benches/compare_calls.py --program target/debug/facetty --line target/debug/examples/bad_line

Two programs of one kind call each other on this machine, through one door of `bad_line` with the
link of a scenario in examples/scenarios/: both ways pass it. All are given the same pictures and the
same sound in real time, and what comes out of each is judged from outside, by one judge that knows
nothing of who sent it; no program's own figures are used. Both directions count. It needs

    pip install numpy scipy pystoi scikit-image pillow
    apt install flite
    cargo build --release --bins --example bad_line

and what is missing of the following is left out:

    apt install gstreamer1.0-plugins-{base,good,bad} gstreamer1.0-nice python3-gi python3-gst-1.0 \\
        gir1.2-gst-plugins-bad-1.0                                 (webrtcbin)
    npm install --prefix DIR @roamhq/wrtc, and --wrtc DIR          (libwebrtc, as in browsers, in node)

facetty     `facetty call` and `facetty join` as they are; the invite names the door only.
libwebrtc   VP8 (this build has no H.264), Opus; everything as a browser has it: congestion control by
            transport-cc, NACK and RTX, RED and ULPFEC for pictures, in-band FEC for sound, NetEQ.
webrtcbin   openh264 and Opus with in-band FEC; NACK and RTX, RED and ULPFEC; keyframes when asked for;
            200 ms of jitter buffer, its default, and 40 for in-band FEC. GStreamer's estimator
            (rtpgccbwe) is not among the distribution's packages, and webrtcbin has none: its rate is
            fixed (RATES).

The clip is compare_pictures.py's photograph, moved and with grain: a head that sways before a still
wall, or (where the rate of the line steps) everything in motion; with a strip at the bottom that
numbers the pictures. The voices are flite's, reading this repository's licence.

How is judged, from eight seconds after the first packet to the end; nothing is lost in the first
three, so that everybody gets their call set up:

  ear      ms from a sound at the source to the same sound at the loudspeaker, without devices:
           half a second of speech at a time is looked for in what was played (p50 / p95)
  astray   share of the speech, in steps of 20 ms, for which nothing like it was played in its place
  STOI     intelligibility (Taal 2011, pystoi) of what was played, laid over what was said
  on time  share of the pictures captured that were shown within 400 ms
  eye      ms from capture to show (p50 / p95); facetty's pictures are seen on a grid of 33 ms
  fps      pictures shown per second, repeats not counted
  freezes  per minute: gaps of at least max(3 δ, δ + 150 ms), δ the mean of the 30 before
           (W3C webrtc-stats)
  SSIM     of every third picture that was shown with the one captured, luma, without the strip
  kbit/s   sent into the line, UDP payload, one direction
  CPU %    of one core, one peer

Figures are means over runs and directions; where they differ, the range is given.
"""

import argparse
import json
import math
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import wave

ROOT = pathlib.Path(__file__).resolve().parents[1]
ME = str(pathlib.Path(__file__).resolve())
SCENARIOS = ["clean", "loss-20", "burst-40", "step-2m-300k-2m", "bloat-500k"]
FPS = 15
RATE = 48_000
BLOCK = 480
# Nothing is lost for so many seconds from the first packet on: a call is there before the line is bad.
PEACE = 3
# From here on it is judged.
WARM_UP = 8.0
IN_TIME = 0.4
# Coded pictures in kbit/s that webrtcbin sends, by size.
RATES = {"160x96": 150, "240x144": 160, "480x288": 900}
# How long after the first packet a call is watched, in seconds.
WATCHED = 48.0


# --- what is sent --------------------------------------------------------------------------------


def strip_code(number):
    """The number's bits as facetty's test pictures have them (src/media/marker.rs)."""
    gray = number ^ number >> 1
    crc = 0xFF
    for shift in (16, 8, 0):
        crc ^= gray >> shift & 0xFF
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return gray << 8 | crc


def strip_places(width, height):
    """Edges of the strip's two rows and twenty columns."""
    rows = [((n * height + 6) // 12) & ~1 for n in (10, 11, 12)]
    return rows, [(n * width + 10) // 20 for n in range(21)]


def draw_strip(luma, number):
    height, width = luma.shape
    rows, columns = strip_places(width, height)
    bits = strip_code(number)
    for row in range(2):
        for column in range(20):
            bright = column in (0, 19)
            if 2 <= column <= 17:
                bright = bits >> (31 - row * 16 - column + 2) & 1
            luma[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = 200 if bright else 40


def read_strip(luma):
    """The number of a picture that was received, or None."""
    height, width = luma.shape
    rows, columns = strip_places(width, height)
    cells = []
    for row in range(2):
        top, bottom = rows[row], rows[row + 1]
        edge = max((bottom - top) // 4, 1) if bottom - top > 2 else 0
        for column in range(20):
            left, right = columns[column], columns[column + 1]
            side = max((right - left) // 4, 1) if right - left > 2 else 0
            cells.append(luma[top + edge : bottom - edge, left + side : right - side].mean())
    bright = (cells[0] + cells[19] + cells[20] + cells[39]) / 4
    dark = (cells[1] + cells[18] + cells[21] + cells[38]) / 4
    if bright - dark < 60:
        return None
    bits = 0
    for cell in cells[2:18] + cells[22:38]:
        bits = bits << 1 | int(cell > (bright + dark) / 2)
    gray = bits >> 8
    number = gray
    for shift in (1, 2, 4, 8, 16):
        number ^= number >> shift
    return number if strip_code(number) == bits else None


def make_clip(path, kind, size, seconds):
    """Y4M with numbered pictures."""
    import numpy as np

    sys.path.insert(0, str(ROOT / "benches"))
    import compare_pictures

    width, height = size
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        pictures = compare_pictures.clip(kind, int(seconds * FPS), width, height)
        for number, picture in enumerate(pictures):
            y, u, v = compare_pictures.planes(picture)
            y = np.ascontiguousarray(y)
            draw_strip(y, number)
            below = strip_places(width, height)[0][0] // 2
            u[below:], v[below:] = 128, 128
            file.write(b"FRAME\n" + y.tobytes() + u.tobytes() + v.tobytes())


def make_voice(path, voice, seconds, skip):
    """48 kHz, mono: the licence from line `skip` on, read aloud."""
    import numpy as np
    from scipy.signal import resample_poly

    lines = (ROOT / "LICENSE").read_text().splitlines()[skip:]
    text = re.sub(r"[^A-Za-z,. ]+", " ", " ".join(lines))[: int(seconds * 25)]
    raw = path.with_suffix(".flite.wav")
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(raw)], check=True)
    with wave.open(str(raw)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(float)
    sound = resample_poly(sound, RATE, rate)[: int(seconds * RATE)]
    sound *= 12_000 / np.abs(sound).max()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())


class Clip:
    """Pictures of a Y4M file by number."""

    def __init__(self, path):
        self.file = open(path, "rb")
        header = self.file.readline().split()
        self.width = int(header[1][1:])
        self.height = int(header[2][1:])
        self.bytes = self.width * self.height * 3 // 2
        self.start = self.file.tell()

    def picture(self, number):
        self.file.seek(self.start + number * (self.bytes + 6) + 6)
        data = self.file.read(self.bytes)
        return data if len(data) == self.bytes else None

    def luma(self, number):
        import numpy as np

        data = self.picture(number)
        shape = (self.height, self.width)
        if data is None:
            return None
        return np.frombuffer(data, np.uint8)[: self.width * self.height].reshape(shape)


def on_schedule(zero, step, do):
    """Calls do(n) at zero + n·step until it says False."""
    n = 0
    while True:
        wait = zero + n * step - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        if do(n) is False:
            return
        n += 1


# --- recordings: what a peer was given when, and what came out of it when ----------------------------


class Recorder:
    """Records: V, time, width, height, luma; A, time, bytes, s16 mono at 48 kHz; Z, video, audio: when
    the first picture was captured, and the first sample. Times are of CLOCK_MONOTONIC."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.lock = threading.Lock()

    def write(self, *parts):
        with self.lock:
            for part in parts:
                self.file.write(part)

    def video(self, at, width, height, luma):
        self.write(b"V", struct.pack("<dHH", at, width, height), luma)

    def audio(self, at, samples):
        self.write(b"A", struct.pack("<dI", at, len(samples)), samples)

    def zeros(self, video, audio):
        self.write(b"Z", struct.pack("<dd", video, audio))

    def close(self):
        with self.lock:
            self.file.close()


def records(path):
    import numpy as np

    video, audio, zeros = [], [], None
    with open(path, "rb") as file:
        while kind := file.read(1):
            if kind == b"V":
                head = file.read(12)
                at, width, height = struct.unpack("<dHH", head)
                luma = np.frombuffer(file.read(width * height), np.uint8)
                if len(luma) < width * height:
                    break
                video.append((at, luma.reshape(height, width)))
            elif kind == b"A":
                at, length = struct.unpack("<dI", file.read(12))
                audio.append((at, np.frombuffer(file.read(length), "<i2")))
            else:
                zeros = struct.unpack("<dd", file.read(16))
    return video, audio, zeros


# --- peers, each a process -----------------------------------------------------------------------------


def feed(clip, log):
    """A camera for facetty: writes the clip to standard output in real time."""
    clip = Clip(clip)
    out = sys.stdout.buffer
    out.write(f"YUV4MPEG2 W{clip.width} H{clip.height} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
    zero = time.monotonic()
    pathlib.Path(log).write_text(repr(zero))

    def one(n):
        picture = clip.picture(n)
        if picture is None:
            return False
        out.write(b"FRAME\n" + picture)
        out.flush()

    on_schedule(zero, 1 / FPS, one)


def gst_peer(role, clip, voice, out, rate, latency):
    """A webrtcbin peer: signalling as lines of JSON on standard input and output."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstWebRTC", "1.0")
    gi.require_version("GstSdp", "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC

    Gst.init(None)
    clip, recorder = Clip(clip), Recorder(out)
    size = f"width={clip.width},height={clip.height},framerate={FPS}/1"
    sending = f"""
        webrtcbin name=w bundle-policy=max-bundle latency={latency}
        appsrc name=v leaky-type=downstream max-buffers=2 is-live=true format=time do-timestamp=true
          caps=video/x-raw,format=I420,{size}
          ! queue leaky=downstream max-size-buffers=2
          ! openh264enc usage-type=camera rate-control=bitrate bitrate={rate * 1000}
            complexity=medium gop-size=150
          ! rtph264pay config-interval=-1 aggregate-mode=zero-latency mtu=1200
          ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000 ! w.
        appsrc name=a leaky-type=downstream max-buffers=10 is-live=true format=time do-timestamp=true
          caps=audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved
          ! opusenc audio-type=voice bitrate=32000 frame-size=20 inband-fec=true packet-loss-percentage=20
          ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000 ! w."""
    pipeline = Gst.parse_launch(sending)
    peer = pipeline.get_by_name("w")
    for index in range(2):
        transceiver = peer.emit("get-transceiver", index)
        transceiver.set_property("do-nack", True)
        if index == 0:
            transceiver.set_property("fec-type", GstWebRTC.WebRTCFECType.ULP_RED)
            transceiver.set_property("fec-percentage", 50)

    def say(**what):
        print(json.dumps(what), flush=True)

    def described(promise, _, kind):
        promise.wait()
        reply = promise.get_reply()  # owns the description
        description = reply.get_value(kind)
        text = description.sdp.as_text()
        peer.emit("set-local-description", description, Gst.Promise.new())
        say(type=kind, sdp=text)

    def describe(kind):
        promise = Gst.Promise.new_with_change_func(described, None, kind)
        peer.emit(f"create-{kind}", None, promise)

    def come(pad):
        structure = pad.get_current_caps().get_structure(0)
        if structure.get_string("media") == "video":
            chain = """queue ! rtph264depay request-keyframe=true wait-for-keyframe=false
                ! h264parse ! openh264dec automatic-request-sync-points=true
                ! videoconvert ! video/x-raw,format=I420"""
            sink = video_came
        else:
            chain = """queue ! rtpopusdepay ! opusdec plc=true use-inband-fec=true
                ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1"""
            sink = audio_came
        part = Gst.parse_bin_from_description(f"{chain} ! appsink name=s emit-signals=true sync=true", True)
        part.get_by_name("s").connect("new-sample", sink)
        pipeline.add(part)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad("sink"))

    def pulled(sink):
        at, sample = time.monotonic(), sink.emit("pull-sample")
        buffer = sample.get_buffer()
        return at, sample.get_caps().get_structure(0), buffer.extract_dup(0, buffer.get_size())

    def video_came(sink):
        at, structure, data = pulled(sink)
        width, height = structure.get_value("width"), structure.get_value("height")
        stride = (width + 3) // 4 * 4
        luma = data[: stride * height]
        if stride != width:
            luma = b"".join(luma[y * stride : y * stride + width] for y in range(height))
        recorder.video(at, width, height, luma)
        return Gst.FlowReturn.OK

    def audio_came(sink):
        at, _, data = pulled(sink)
        recorder.audio(at, data)
        return Gst.FlowReturn.OK

    def hear(line):
        message = json.loads(line)
        if "candidate" in message:
            peer.emit("add-ice-candidate", message["index"], message["candidate"])
            return
        _, sdp = GstSdp.SDPMessage.new_from_text(message["sdp"])
        kind = getattr(GstWebRTC.WebRTCSDPType, message["type"].upper())
        peer.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, sdp), None)
        if message["type"] == "offer":
            describe("answer")

    def listen():
        for line in sys.stdin:
            GLib.idle_add(hear, line)

    def push(source, data):
        return source.emit("push-buffer", Gst.Buffer.new_wrapped(data)) == Gst.FlowReturn.OK

    def camera(zero):
        source = pipeline.get_by_name("v")
        on_schedule(zero, 1 / FPS, lambda n: push(source, clip.picture(n)))

    def microphone(zero):
        source = pipeline.get_by_name("a")
        with wave.open(voice) as file:
            on_schedule(zero + 0.01, 0.01, lambda n: push(source, file.readframes(BLOCK)))

    def problem(_, message):
        say(problem=str(message.parse_error()))

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", problem)
    peer.connect("on-ice-candidate", lambda _, index, candidate: say(candidate=candidate, index=index))
    peer.connect("pad-added", lambda _, pad: pad.direction == Gst.PadDirection.SRC and come(pad))
    if role == "ada":
        peer.connect("on-negotiation-needed", lambda _: describe("offer"))
    # What opusdec asks for its in-band FEC (120 ms) is for the longest packets; ours have 20 ms.
    pipeline.set_latency((latency + 40) * Gst.MSECOND)
    pipeline.set_state(Gst.State.PLAYING)
    zero = time.monotonic() + 0.2
    recorder.zeros(zero, zero)
    for work in (lambda: camera(zero), lambda: microphone(zero), listen):
        threading.Thread(target=work, daemon=True).start()

    def hurry():
        """NACKs go at once: RTCP may take a twentieth of this rate; the default would make them wait."""
        session = peer.get_by_name("rtpbin").emit("get-internal-session", 0)
        if session:
            session.set_property("bandwidth", 2e6)
        return session is None

    GLib.timeout_add(100, hurry)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    loop.run()
    recorder.close()
    # What is still in flight is nobody's: taking the pipeline down in order can take seconds.
    os._exit(0)


NODE_PEER = r"""
const { RTCPeerConnection, nonstandard } = require('@roamhq/wrtc');
const fs = require('fs');
const [role, clip, voice, out] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint()) / 1e9;
const say = what => process.stdout.write(JSON.stringify(what) + '\n');
const file = fs.openSync(out, 'w');
const write = (...parts) => fs.writevSync(file, parts);

const y4m = fs.openSync(clip, 'r');
const line = Buffer.alloc(200);
fs.readSync(y4m, line, 0, 200, 0);
const head = line.subarray(0, line.indexOf(10)).toString();
const [width, height] = [/ W(\d+)/, / H(\d+)/].map(r => Number(head.match(r)[1]));
const size = width * height * 3 / 2;
const sound = fs.readFileSync(voice).subarray(44);

const camera = new nonstandard.RTCVideoSource();
const microphone = new nonstandard.RTCAudioSource();
const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
peer.addTrack(camera.createTrack());
peer.addTrack(microphone.createTrack());
const sinks = [];

peer.onicecandidate = e => e.candidate &&
    say({ candidate: e.candidate.candidate, index: e.candidate.sdpMLineIndex });
peer.ontrack = ({ track }) => {
    if (track.kind === 'video') {
        const sink = new nonstandard.RTCVideoSink(track);
        sink.onframe = ({ frame }) => {
            const head = Buffer.alloc(13);
            head.write('V');
            head.writeDoubleLE(now(), 1);
            head.writeUInt16LE(frame.width, 9);
            head.writeUInt16LE(frame.height, 11);
            write(head, frame.data.subarray(0, frame.width * frame.height));
        };
        sinks.push(sink);
    } else {
        const sink = new nonstandard.RTCAudioSink(track);
        sink.ondata = ({ samples, sampleRate, channelCount }) => {
            if (sampleRate !== 48000) return;  // nothing has come yet
            let mono = samples;
            if (channelCount > 1) mono = samples.filter((_, i) => i % channelCount === 0);
            const head = Buffer.alloc(13);
            head.write('A');
            head.writeDoubleLE(now(), 1);
            head.writeUInt32LE(mono.length * 2, 9);
            write(head, Buffer.from(mono.buffer, mono.byteOffset, mono.length * 2));
        };
        sinks.push(sink);
    }
};

async function describe(kind) {
    const text = kind === 'offer' ? await peer.createOffer() : await peer.createAnswer();
    await peer.setLocalDescription(text);
    say({ type: kind, sdp: text.sdp });
}

async function hear(message) {
    if (message.candidate !== undefined) {
        const { candidate, index: sdpMLineIndex } = message;
        await peer.addIceCandidate({ candidate, sdpMLineIndex });
        return;
    }
    await peer.setRemoteDescription(message);
    if (message.type === 'offer') await describe('answer');
}

let heard = Promise.resolve();
require('readline').createInterface({ input: process.stdin }).on('line', text => {
    heard = heard.then(() => hear(JSON.parse(text))).catch(e => say({ problem: String(e) }));
});

function onSchedule(zero, step, what) {
    let n = 0;
    const turn = () => {
        while (zero + n * step <= now()) what(n++);
        setTimeout(turn, Math.max(0, (zero + n * step - now()) * 1000));
    };
    turn();
}

const zero = now() + 0.2;
const zeros = Buffer.alloc(17);
zeros.write('Z');
zeros.writeDoubleLE(zero, 1);
zeros.writeDoubleLE(zero, 9);
write(zeros);
onSchedule(zero, 1 / 15, n => {
    const data = new Uint8ClampedArray(size);
    const start = head.length + 1 + n * (size + 6) + 6;
    if (fs.readSync(y4m, data, 0, size, start) === size) camera.onFrame({ width, height, data });
});
onSchedule(zero + 0.01, 0.01, n => {
    const samples = new Int16Array(480);
    const part = sound.subarray(n * 960, n * 960 + 960);
    Buffer.from(samples.buffer).set(part);
    microphone.onData({ samples, sampleRate: 48000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 });
});
process.on('SIGTERM', () => process.exit(0));
if (role === 'ada') describe('offer');
"""


# --- processes ---------------------------------------------------------------------------------------


class Process:
    """A child, its lines of output in a queue, and the CPU time it took with its own children."""

    def __init__(self, command, name, environment=None):
        self.name = name
        self.trouble = tempfile.TemporaryFile()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.trouble}
        self.child = subprocess.Popen(command, env={**os.environ, **(environment or {})}, **pipes)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            self.lines.put(line.decode().strip())
        self.lines.put(None)

    def line(self, patience):
        try:
            line = self.lines.get(timeout=max(patience, 0))
        except queue.Empty:
            return None
        if line is None:
            self.trouble.seek(0)
            words = self.trouble.read().decode("utf-8", "replace")[-2000:]
            raise RuntimeError(f"{self.name} ended: {words}")
        return line

    def say(self, message):
        self.child.stdin.write((json.dumps(message) + "\n").encode())
        self.child.stdin.flush()

    def cpu(self):
        """Seconds so far."""
        words = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Line:
    """A bad line with one door."""

    def __init__(self, program, scenario, target, seed):
        names = {"delay_ms", "jitter_ms", "loss_pct", "burst_pct", "burst_ms", "rate_kbps", "queue_ms"}
        command = [program, "--to", target, "--ip", target.rsplit(":", 1)[0], "--seed", str(seed)]
        for name, value in scenario.get("link", {}).items():
            assert name in names, f"bad_line has no {name}"
            option = name.replace("_", "-")
            later = name in ("loss_pct", "burst_pct")
            command += ["--at", f"{PEACE}:{option}={value}"] if later else [f"--{option}", str(value)]
        for moment in scenario.get("at", []):
            for name, value in moment["link"].items():
                command += ["--at", f"{moment['s']}:{name.replace('_', '-')}={value}"]
        self.process = Process(command, "bad_line")
        self.door = self.process.line(10).split()[1]
        self.first = None

    def wait(self, patience):
        """When the first packet came."""
        if self.process.line(patience) != "first packet":
            raise RuntimeError("nothing came to the door")
        self.first = time.monotonic()
        return self.first

    def end(self):
        """UDP payload sent and delivered, there and back, in bytes."""
        self.process.end(signal.SIGINT)
        counts = []
        for _ in range(2):
            words = self.process.line(2)
            counts.append([int(n) for n in re.findall(r"(\d+) bytes", words)])
        return counts


def free_port(ip):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_port:
        any_port.bind((ip, 0))
        return any_port.getsockname()[1]


# --- stacks --------------------------------------------------------------------------------------------


class Call:
    """One call under way: two processes, their recordings, the line."""

    def __init__(self, folder, clip, voices, scenario, seed, options):
        self.folder, self.clip, self.voices = folder, clip, voices
        self.scenario, self.seed, self.options = scenario, seed, options
        self.out = {who: folder / f"{who}.rec" for who in ("ada", "ben")}
        self.peers, self.line = {}, None

    def watch(self, seconds):
        """Waits for the end; returns first packet, CPU share of a peer, and what the line carried."""
        first = self.line.wait(20)
        time.sleep(max(first + WARM_UP - time.monotonic(), 0))
        before, since = self.cpu(), time.monotonic()
        time.sleep(max(first + seconds + 0.5 - time.monotonic(), 0))
        share = (self.cpu() - before) / (time.monotonic() - since) / 2
        carried = self.line.end()
        self.end()
        return first, share, carried

    def cpu(self):
        return sum(peer.cpu() for peer in self.peers.values())

    def check(self):
        """Raises what peers reported."""

    def end(self):
        for peer in self.peers.values():
            peer.end()
        if self.line:
            self.line.process.end()


class WebRtcCall(Call):
    """Two peers that speak SDP and candidates. The only candidate that anybody is told is the door in
    place of one of Ada's own, so every packet passes it; she learns Ben's return address from him."""

    def start(self):
        for who in ("ada", "ben"):
            command, environment = self.command(who)
            self.peers[who] = Process(command, f"{self.name} {who}", environment)
        ada, ben = self.peers["ada"], self.peers["ben"]
        waiting, until = [], time.monotonic() + 15
        offered = answered = False
        while time.monotonic() < until and not (self.line and answered):
            if line := ada.line(0.01):
                message = json.loads(line)
                if "problem" in message:
                    raise RuntimeError(f"{self.name}: {message['problem']}")
                if "sdp" in message:
                    ben.say(self.plain(message))
                    offered = True
                elif self.line is None and self.usable(message["candidate"]):
                    waiting.append(self.through_door(message))
            if offered and waiting:
                ben.say(waiting.pop())
            if line := ben.line(0.01):
                message = json.loads(line)
                if "sdp" in message:
                    ada.say(self.plain(message))
                    answered = True
        if not answered:
            raise RuntimeError(f"{self.name}: no answer")

    def check(self):
        for who, peer in self.peers.items():
            while not peer.lines.empty():
                line = peer.lines.get()
                if line and "problem" in json.loads(line):
                    raise RuntimeError(f"{self.name} {who}: {line}")

    @staticmethod
    def plain(message):
        """Without candidates in it."""
        lines = message["sdp"].splitlines()
        kept = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
        return {"type": message["type"], "sdp": "\r\n".join(kept) + "\r\n"}

    @staticmethod
    def usable(candidate):
        words = candidate.split()
        return words[2].lower() == "udp" and words[1] == "1" and re.fullmatch(r"[\d.]+", words[4])

    def through_door(self, message):
        words = message["candidate"].split()
        self.line = Line(self.options.line, self.scenario, f"{words[4]}:{words[5]}", self.seed)
        words[4:6] = self.line.door.rsplit(":", 1)
        return {"candidate": " ".join(words), "index": message["index"]}


class Libwebrtc(WebRtcCall):
    name = "libwebrtc"

    @staticmethod
    def missing(options):
        if not (options.wrtc and shutil.which("node")):
            return "no --wrtc, or no node"

    def command(self, who):
        script = self.folder / "peer.js"
        script.write_text(NODE_PEER)
        command = ["node", str(script), who, str(self.clip), str(self.voices[who]), str(self.out[who])]
        return command, {"NODE_PATH": str(pathlib.Path(self.options.wrtc, "node_modules").resolve())}


class Webrtcbin(WebRtcCall):
    name = "webrtcbin"
    python = None

    @classmethod
    def missing(cls, _options):
        for python in (sys.executable, "/usr/bin/python3"):
            test = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"
            if subprocess.run([python, "-c", test], capture_output=True).returncode == 0:
                cls.python = python
                return None
        return "no python3 with gi and GstWebRTC"

    def command(self, who):
        rate = RATES[self.scenario["participant"][0].get("tile", "160x96")]
        what = [who, self.clip, self.voices[who], self.out[who], rate, self.options.latency]
        return [self.python, ME, "--gst-peer", *map(str, what)], None


class Facetty(Call):
    """The program itself, without a screen: pictures from a pipe and into one, sound from and into
    WAV files."""

    name = "facetty"

    @staticmethod
    def missing(options):
        if not os.access(options.program, os.X_OK):
            return f"no {options.program}"

    def start(self):
        here = f"127.0.0.1:{free_port('127.0.0.1')}"
        self.line = Line(self.options.line, self.scenario, here, self.seed)
        self.run("ada", ["call", "--listen", here, "--advertise", self.line.door, "--admit"])
        invite = self.event("ada", "invite")["invite"]
        self.run("ben", ["join", only_door(invite, self.line.door), "--listen", "127.0.0.1:0"])

    def run(self, who, how):
        tile = self.scenario["participant"][0].get("tile", "160x96")
        view, heard = self.folder / f"{who}.y4m", self.folder / f"{who}.wav"
        os.mkfifo(view)
        recorder = Recorder(self.out[who])
        threading.Thread(target=self.look, args=(who, view, recorder), daemon=True).start()
        threading.Thread(target=self.listen, args=(who, heard), daemon=True).start()
        camera = f"pipe:exec {sys.executable} {ME} --feed {self.clip} {self.folder / who}.zero"
        command = [self.options.program, *how, "--json", "--video", camera, "--tile", tile, "--fps", "30"]
        command += ["--audio", f"wav:{self.voices[who]}", "--speaker", f"wav:{heard}", "--view", f"y4m:{view}"]
        home = {"FACETTY_HOME": str(self.folder / f"{who}.home")}
        self.peers[who] = Process(command, f"facetty {who}", home)
        self.recorders = {**getattr(self, "recorders", {}), who: recorder}
        self.grown = {**getattr(self, "grown", {}), who: []}

    def event(self, who, kind):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            line = self.peers[who].line(until - time.monotonic())
            if line and line.startswith("{") and json.loads(line)["event"] == kind:
                return json.loads(line)
        raise RuntimeError(f"{who} never said {kind}")

    def look(self, who, view, recorder):
        """Notes when the picture in the view changes."""
        with open(view, "rb", buffering=0) as raw:
            try:
                import fcntl

                fcntl.fcntl(raw, 1031, 1 << 20)  # F_SETPIPE_SZ: nobody waits for us
            except OSError:
                pass
            file = os.fdopen(os.dup(raw.fileno()), "rb")
            header = file.readline().split()
            width, height = int(header[1][1:]), int(header[2][1:])
            before = None
            while file.readline():
                picture = file.read(width * height * 3 // 2)
                if len(picture) == width * height * 3 // 2 and picture != before:
                    recorder.video(time.monotonic(), width, height, picture[: width * height])
                    before = picture

    def listen(self, who, heard):
        """Notes when the file of what was heard grows: it is written second by second, at the very
        tick of its last block."""
        size = 0
        while who not in self.peers or self.peers[who].child.poll() is None:
            time.sleep(0.001)
            try:
                now = heard.stat().st_size
            except FileNotFoundError:
                continue
            if now > max(size, 44):
                self.grown[who].append((time.monotonic(), (now - 44) // 2))
            size = now

    def end(self):
        super().end()
        recorders, self.recorders = getattr(self, "recorders", {}), {}
        for who, recorder in recorders.items():
            time.sleep(0.05)
            # Block k of the file was played, and block k of the microphone taken, in one tick. Who
            # looked at the file may have been late, and a stall moves all later ticks.
            grown = self.grown[who][:-1]
            ticks = [at - (samples - BLOCK) / RATE for at, samples in grown]
            ticks = [min(ticks[n:]) for n in range(len(ticks))]
            zero = self.folder / f"{who}.zero"
            if ticks and ticks[-1] - ticks[0] > 0.02:
                print(f"warning: {who}'s sound stalled for {ticks[-1] - ticks[0]:.3f} s", file=sys.stderr)
            if ticks and zero.exists():
                with open(self.folder / f"{who}.wav", "rb") as file:
                    sound = file.read()[44:]
                places = [0] + [samples for _, samples in grown]
                for tick, first, last in zip(ticks, places, places[1:]):
                    recorder.audio(tick + first / RATE, sound[first * 2 : last * 2])
                recorder.zeros(float(zero.read_text()), ticks[0] - 0.01)
            recorder.close()


def only_door(invite, door):
    """The invite with no address but the door's (its layout: src/invite.rs)."""
    import base64
    import hashlib

    mark, body = invite[:8], invite[8:].upper()
    payload = base64.b32decode(body + "=" * (-len(body) % 8))[:-4]
    assert not payload[1] & 0x80, "an invite that names its group"
    ip, port = door.rsplit(":", 1)
    fixed = payload[2 : 2 + 32 + 16 + 4 + 1]
    payload = bytes([payload[0], 1]) + fixed + b"\0" + socket.inet_aton(ip) + struct.pack(">H", int(port))
    total = hashlib.sha256(b"facetty invite check 1" + payload).digest()[:4]
    return mark + base64.b32encode(payload + total).decode().rstrip("=").lower()


# --- the judge -------------------------------------------------------------------------------------------


def timeline(audio, start, seconds):
    """What was played from `start` on. Blocks follow each other; one that is 30 ms off is put where it
    belongs, after silence or over what was there."""
    import numpy as np

    track = np.zeros(int(seconds * RATE))
    place = None
    for at, samples in audio:
        wanted = int(round((at - start) * RATE))
        if place is None or abs(wanted - place) > RATE * 30 // 1000:
            place = wanted
        first, last = max(place, 0), min(place + len(samples), len(track))
        if first < last:
            track[first:last] = samples[first - place : last - place]
        place += len(samples)
    return track


class Sound:
    """What was said beside what was heard, both at 8 kHz on one clock."""

    LOW = 8_000
    WINDOW = LOW // 2
    FARTHEST = LOW * 3

    def __init__(self, said, heard):
        import numpy as np
        from scipy.signal import resample_poly

        self.said = resample_poly(said, 1, 6)
        self.heard = np.concatenate([resample_poly(heard, 1, 6), np.zeros(self.FARTHEST + self.LOW)])
        self.loud = np.sqrt(np.mean(self.said**2)) * 0.25
        self.map = self.follow()

    def likeness(self, piece, where):
        """Normalised correlation of the piece with every place in `where`."""
        import numpy as np
        from scipy.signal import fftconvolve

        piece = piece - piece.mean()
        products = fftconvolve(where, piece[::-1], mode="valid")
        energy = np.cumsum(np.concatenate([[0.0], where**2]))
        energy = energy[len(piece) :] - energy[: -len(piece)]
        floor = 1e-4 * (piece**2).sum() + 1e-9
        return products / np.sqrt((piece**2).sum() * np.maximum(energy, floor) + 1e-9)

    def follow(self):
        """Delay of the sound, in samples, at places where it is beyond doubt."""
        import numpy as np

        found = []
        for start in range(0, len(self.said) - self.WINDOW, self.LOW // 5):
            piece = self.said[start : start + self.WINDOW]
            if np.sqrt(np.mean(piece**2)) < self.loud:
                continue
            where = self.heard[start : start + self.WINDOW + self.FARTHEST]
            likeness = self.likeness(piece, where)
            best = int(likeness.argmax())
            if likeness[best] > 0.6:
                found.append((start + self.WINDOW // 2, best))
        # A word may be taken for the same word elsewhere; two neighbours each side outvote it.
        delays = [delay for _, delay in found]
        voted = [int(np.median(delays[max(n - 2, 0) : n + 3])) for n in range(len(delays))]
        return [(place, delay) for (place, _), delay in zip(found, voted)]

    def delays(self):
        return [delay / self.LOW * 1000 for _, delay in self.map]

    def delay_at(self, place):
        import numpy as np

        places, delays = zip(*self.map)
        return int(delays[int(np.abs(np.array(places) - place).argmin())])

    def astray(self):
        """Share of spoken 20 ms without their like within 5 ms of where they should be."""
        import numpy as np

        step, around = self.LOW // 50, self.LOW // 200
        spoken = missing = 0
        for start in range(0, len(self.said) - step, step):
            piece = self.said[start : start + step]
            strength = np.sqrt(np.mean(piece**2))
            if strength < self.loud * 2:
                continue
            place = max(start + self.delay_at(start), around)
            where = self.heard[place - around : place + step + around]
            likeness = self.likeness(piece, where)
            best = int(likeness.argmax())
            found = where[best : best + step]
            spoken += 1
            missing += likeness[best] < 0.6 or np.sqrt(np.mean(found**2)) < strength / 4
        return 100.0 * missing / max(spoken, 1)

    def stoi(self):
        """Mean over pieces of four seconds, each laid together from steps of 200 ms."""
        import numpy as np
        from pystoi import stoi

        step, scores = self.LOW // 5, []
        for start in range(0, len(self.said) - 4 * self.LOW, 4 * self.LOW):
            said = self.said[start : start + 4 * self.LOW]
            if np.sqrt(np.mean(said**2)) < self.loud:
                continue
            places = [at + self.delay_at(at + step // 2) for at in range(start, start + len(said), step)]
            scores.append(stoi(said, np.concatenate([self.heard[p : p + step] for p in places]), self.LOW))
        return float(np.mean(scores)) if scores else None


def freezes(times, end):
    """How many (W3C webrtc-stats, freezeCount)."""
    count, recent = 0, []
    for at, until in zip(times, times[1:] + [end]):
        gap = until - at
        if recent:
            mean = sum(recent[-30:]) / len(recent[-30:])
            count += gap >= max(3 * mean, mean + 0.15)
        recent.append(gap)
    return count


def percentiles(values):
    import numpy as np

    return [float(np.percentile(values, p)) for p in (50, 95)] if len(values) else [math.nan] * 2


def judge_pictures(clip, video, zero, start, end):
    import numpy as np
    from skimage.metrics import structural_similarity
    from skimage.transform import resize

    shown, last, likeness, delays = [], -1, [], {}
    high = strip_places(clip.width, clip.height)[0][0]
    for at, luma in video:
        if not start <= at <= end:
            continue
        number = read_strip(luma)
        if number == last:
            continue
        shown.append(at)
        last = number
        original = None if number is None else clip.luma(number)
        if original is None:
            continue
        captured = zero + number / FPS
        delays.setdefault(number, at - captured)
        if number % 3 == 0:
            if luma.shape != original.shape:
                luma = np.round(resize(luma.astype(float), original.shape))
            likeness.append(structural_similarity(original[:high], luma[:high].astype(np.uint8), data_range=255))
    due = range(math.ceil((start - zero) * FPS), math.floor((end - IN_TIME - zero) * FPS) + 1)
    in_time = sum(delays.get(n, math.inf) <= IN_TIME for n in due)
    seconds = end - start
    eye = percentiles([d * 1000 for d in delays.values()])
    return {
        "on time %": 100.0 * in_time / len(due),
        "eye p50": eye[0],
        "eye p95": eye[1],
        "fps": len(shown) / seconds,
        "freezes/min": (freezes(shown, end) if shown else 1) * 60 / seconds,
        "SSIM": float(np.mean(likeness)) if likeness else math.nan,
    }


def judge_sound(voice, audio, zero, start, end):
    import numpy as np

    with wave.open(str(voice)) as file:
        whole = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    first = int((start - zero) * RATE)
    said = whole[first : first + int((end - start - 0.5) * RATE)]
    heard = timeline(audio, zero + first / RATE, end - start)
    sound = Sound(said, heard)
    ear = percentiles(sound.delays())
    if not sound.map:
        return {"ear p50": math.nan, "ear p95": math.nan, "astray %": 100.0, "STOI": 0.0}
    return {"ear p50": ear[0], "ear p95": ear[1], "astray %": sound.astray(), "STOI": sound.stoi()}


# --- the table -------------------------------------------------------------------------------------------


def scenario_of(name):
    import tomllib

    return tomllib.loads((ROOT / "examples" / "scenarios" / f"{name}.toml").read_text())


def spans(scenario, seconds):
    """What is judged on its own: the whole, and the windows around a step."""
    whole = [("", WARM_UP, seconds)]
    wanted = {"before", "settled", "again"}
    windows = [w for w in scenario.get("window", []) if w["name"] in wanted and w["to"] <= seconds]
    return whole + [(w["name"], w["from"], w["to"]) for w in windows]


def one_call(stack, scenario, media, seed, options):
    """All figures of one call: by span, those of both directions."""
    clip, voices = media
    seconds = max([options.seconds] + [w["to"] for w in scenario.get("window", [])])
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        call = stack(pathlib.Path(folder), clip, voices, scenario, seed, options)
        if options.first:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        try:
            call.start()
            first, cpu, carried = call.watch(seconds)
            call.check()
        finally:
            call.end()
            if options.first:
                os.setpriority(os.PRIO_PROCESS, 0, 0)
        received = {who: records(call.out[who]) for who in ("ada", "ben")}
    begun = [stream[0][0] if stream else math.inf for each in received.values() for stream in each[:2]]
    started = max(begun) - first
    if started > WARM_UP:
        raise RuntimeError(f"pictures and sound both ways only after {started:.1f} s")
    results = {}
    for name, since, until in spans(scenario, seconds):
        for n, (sender, receiver) in enumerate((("ben", "ada"), ("ada", "ben"))):
            video, audio, _ = received[receiver]
            zeros = received[sender][2]
            if zeros is None:
                raise RuntimeError(f"{stack.name}: {sender} sent nothing")
            start, end = first + since, first + until
            figures = judge_sound(voices[sender], audio, zeros[1], start, end)
            figures.update(judge_pictures(Clip(clip), video, zeros[0], start, end))
            if not name:
                figures["kbit/s"] = carried[n][0] * 8 / 1000 / seconds
                figures["CPU %"] = cpu * 100
            results.setdefault(name, []).append(figures)
    return results


DIGITS = {"SSIM": 3, "STOI": 3, "on time %": 1, "astray %": 1, "fps": 1, "freezes/min": 1}
COLUMNS = ["ear p50", "ear p95", "astray %", "STOI", "on time %", "eye p50", "eye p95", "fps"]
COLUMNS += ["freezes/min", "SSIM", "kbit/s", "CPU %"]


def cell(name, values):
    values = [v for v in values if v is not None and not math.isnan(v)]
    if not values:
        return "–"
    digits = DIGITS.get(name, 0)
    mean = f"{sum(values) / len(values):.{digits}f}"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return mean if low == high else f"{mean} ({low}–{high})"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--program", default=str(ROOT / "target" / "release" / "facetty"))
    arguments.add_argument("--line", default=str(ROOT / "target" / "release" / "examples" / "bad_line"))
    arguments.add_argument("--wrtc", help="folder into which @roamhq/wrtc was installed")
    arguments.add_argument("--scenario", action="append", choices=SCENARIOS)
    arguments.add_argument("--stack", action="append", choices=list(STACKS))
    arguments.add_argument("--runs", type=int, default=2)
    arguments.add_argument("--seconds", type=float, default=WATCHED)
    arguments.add_argument("--latency", type=int, default=200, help="webrtcbin's jitter buffer, in ms")
    arguments.add_argument("--first", action="store_true", help="calls before all else, for busy machines (root)")
    arguments.add_argument("--folder", help="for the clips, which are kept, and the recordings, which are not")
    arguments.add_argument("--json", help="every figure of every direction, one line a call, appended here")
    options = arguments.parse_args()
    stacks = []
    for name in options.stack or STACKS:
        if why := STACKS[name].missing(options):
            print(f"{name} is left out: {why}", file=sys.stderr)
        else:
            stacks.append(STACKS[name])
    kept = options.folder is not None
    # In memory where possible: who waits for a disk while recording is judged for it.
    memory = pathlib.Path("/dev/shm")
    options.folder = options.folder or tempfile.mkdtemp(dir=memory if memory.is_dir() else None)
    try:
        compare(stacks, options)
    finally:
        if not kept:
            shutil.rmtree(options.folder)


def compare(stacks, options):
    folder = pathlib.Path(options.folder)
    folder.mkdir(exist_ok=True)
    voices = {"ada": folder / "ada.wav", "ben": folder / "ben.wav"}
    for who, voice, skip in (("ada", "slt", 0), ("ben", "rms", 60)):
        if not voices[who].exists():
            make_voice(voices[who], voice, 100, skip)
    print("| scenario | stack | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (len(COLUMNS) + 2))
    for scenario_name in options.scenario or SCENARIOS:
        scenario = scenario_of(scenario_name)
        tile = scenario["participant"][0].get("tile", "160x96")
        kind = "moving" if scenario.get("at") else "calm"
        clip = folder / f"{kind}-{tile}.y4m"
        if not clip.exists():
            make_clip(clip, kind, tuple(map(int, tile.split("x"))), 90)
        for stack in stacks:
            found = {}
            for run in range(options.runs):
                try:
                    results = one_call(stack, scenario, (clip, voices), run + 1, options)
                except RuntimeError as why:
                    print(f"{scenario_name}, {stack.name}: {why}", file=sys.stderr)
                    continue
                for span, figures in results.items():
                    found.setdefault(span, []).extend(figures)
                if options.json:
                    with open(options.json, "a") as file:
                        line = {"scenario": scenario_name, "stack": stack.name, "run": run + 1, "spans": results}
                        file.write(json.dumps(line) + "\n")
            for span, figures in found.items():
                title = scenario_name + (f", {span}" if span else "")
                cells = [cell(name, [f.get(name) for f in figures]) for name in COLUMNS]
                print(f"| {title} | {stack.name} | " + " | ".join(cells) + " |", flush=True)


STACKS = {"facetty": Facetty, "libwebrtc": Libwebrtc, "webrtcbin": Webrtcbin}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--feed"]:
        feed(*sys.argv[2:4])
    elif sys.argv[1:2] == ["--gst-peer"]:
        gst_peer(*sys.argv[2:6], int(sys.argv[6]), int(sys.argv[7]))
    else:
        main()
