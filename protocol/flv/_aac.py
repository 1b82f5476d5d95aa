"""AAC: the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), with SBR and PS in both of the ways they are announced.

A config either starts with object type 5 or 29 and names the core codec after it, or names the core codec first and
SBR behind a sync word at the end, which older decoders do not read. The sample rate is that of the decoded sound,
SBR included.
"""

from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader
from protocol.flv._configuration import AudioConfiguration

__all__ = ["read_aac_configuration"]

_SPEC: Final = "ISO/IEC 14496-3, 1.6.2.1"

_SAMPLING_FREQUENCIES_HZ: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_EXPLICIT_FREQUENCY: Final = 15
# channelConfiguration (Table 1.19); 0 is a program_config_element's, the others that are missing are reserved.
_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}

_SBR: Final = 5
_PS: Final = 29
_ER_BSAC: Final = 22
_SCALABLE: Final = (6, 20)
_GENERAL_AUDIO: Final = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
"""Object types whose configuration is a GASpecificConfig."""
_ERROR_RESILIENT: Final = frozenset({17, 19, 20, 21, 22, 23})
_SBR_SYNC: Final = 0x2B7
_PS_SYNC: Final = 0x548


def read_aac_configuration(data: bytes) -> AudioConfiguration:
    """Read an AudioSpecificConfig.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    bits = BitReader(data, spec=_SPEC)
    object_type = _object_type(bits)
    sample_rate = _sampling_frequency(bits)
    channel_configuration = bits.read(4)
    named = core = object_type
    if object_type in (_SBR, _PS):
        sample_rate = _sampling_frequency(bits)
        core = _object_type(bits)
        if core == _ER_BSAC:
            bits.skip(4)  # extensionChannelConfiguration
    channels = _CHANNELS.get(channel_configuration)
    if core in _GENERAL_AUDIO:
        counted = _general_audio_channels(bits, core, channel_configuration)
        channels = counted if counted is not None else channels
        if core in _ERROR_RESILIENT:
            bits.skip(2)  # epConfig
        if named == core:
            named, sample_rate = _trailing_extension(bits, core, sample_rate)
    if named == _PS and channels == 1:
        channels = 2  # parametric stereo makes two of one
    return AudioConfiguration(f"mp4a.40.{named}", sample_rate, channels)


def _object_type(bits: BitReader) -> int:
    object_type = bits.read(5)
    return object_type if object_type != 31 else 32 + bits.read(6)


def _sampling_frequency(bits: BitReader) -> int:
    index = bits.read(4)
    if index == _EXPLICIT_FREQUENCY:
        return bits.read(24)
    if index >= len(_SAMPLING_FREQUENCIES_HZ):
        raise RemoteProtocolError(f"samplingFrequencyIndex {index} is reserved", spec=_SPEC)
    return _SAMPLING_FREQUENCIES_HZ[index]


def _general_audio_channels(bits: BitReader, object_type: int, channel_configuration: int) -> int | None:
    """Read GASpecificConfig (4.4.1) to its end; the channels where it counts them itself."""
    bits.skip(1)  # frameLengthFlag
    if bits.flag():  # dependsOnCoreCoder
        bits.skip(14)  # coreCoderDelay
    extension = bits.flag()
    channels = _program_config_channels(bits) if channel_configuration == 0 else None
    if object_type in _SCALABLE:
        bits.skip(3)  # layerNr
    if extension:
        if object_type == _ER_BSAC:
            bits.skip(5 + 11)  # numOfSubFrame, layer_length
        elif object_type in _ERROR_RESILIENT and object_type != 21:
            bits.skip(3)  # three resilience flags
        bits.skip(1)  # extensionFlag3
    return channels


def _program_config_channels(bits: BitReader) -> int:
    """program_config_element (4.4.1.1)."""
    bits.skip(4 + 2 + 4)  # element_instance_tag, object_type, sampling_frequency_index
    full_range = sum(bits.read(4) for _ in range(3))  # front, side and back elements
    low_frequency, data, coupling = bits.read(2), bits.read(3), bits.read(4)
    for mixdown_bits in (4, 4, 3):  # mono, stereo, matrix
        if bits.flag():
            bits.skip(mixdown_bits)
    channels = low_frequency
    for _ in range(full_range):
        channels += 2 if bits.flag() else 1  # a channel pair, or one
        bits.skip(4)
    bits.skip(4 * low_frequency + 4 * data + 5 * coupling)
    bits.align()
    bits.skip(8 * bits.read(8))  # comment_field_data
    return channels


def _trailing_extension(bits: BitReader, object_type: int, sample_rate: int) -> tuple[int, int]:
    """The object type and sample rate after the sync words at the end, where they are."""
    if bits.bits_left < 16 or bits.read(11) != _SBR_SYNC or _object_type(bits) != _SBR or not bits.flag():
        return object_type, sample_rate
    sample_rate = _sampling_frequency(bits)
    if bits.bits_left >= 12 and bits.read(11) == _PS_SYNC and bits.flag():
        return _PS, sample_rate
    return _SBR, sample_rate
