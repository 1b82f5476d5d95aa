"""A bit writer, for tests that build parameter sets field by field as the standards list them."""


class BitWriter:
    def __init__(self) -> None:
        self.bits = ""

    def u(self, bits: int, value: int) -> "BitWriter":
        assert 0 <= value < 1 << bits
        self.bits += f"{value:0{bits}b}" if bits else ""
        return self

    def ue(self, value: int) -> "BitWriter":
        code = f"{value + 1:b}"
        self.bits += "0" * (len(code) - 1) + code
        return self

    def se(self, value: int) -> "BitWriter":
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> "BitWriter":
        self.bits += "0" * (-len(self.bits) % 8)
        return self

    def done(self) -> bytes:
        self.align()
        return bytes(int(self.bits[start : start + 8], 2) for start in range(0, len(self.bits), 8))


def with_emulation_prevention(data: bytes) -> bytes:
    """As an encoder does it, H.264 and H.265, 7.4.1."""
    out = bytearray()
    zeros = 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)
