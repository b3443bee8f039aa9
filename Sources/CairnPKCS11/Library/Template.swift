// Part of Cairn, a content-addressed blob store.

internal import CPKCS11

/// Attributes that an object has, or gets.
struct Template {
    private var attributes: [(type: CK_ATTRIBUTE_TYPE, value: [UInt8])] = []

    /// The same attributes and a yes or no.
    func adding(_ type: CK_ATTRIBUTE_TYPE, _ flag: Bool) -> Template {
        adding(type, [flag ? CK_BBOOL(1) : 0])
    }

    /// The same attributes and a number.
    func adding(_ type: CK_ATTRIBUTE_TYPE, _ number: CK_ULONG) -> Template {
        adding(type, unsafe withUnsafeBytes(of: number) { unsafe [UInt8]($0) })
    }

    /// The same attributes and a text.
    func adding(_ type: CK_ATTRIBUTE_TYPE, _ text: String) -> Template {
        adding(type, [UInt8](text.utf8))
    }

    /// The same attributes and bytes.
    func adding(_ type: CK_ATTRIBUTE_TYPE, _ value: [UInt8]) -> Template {
        var next = self
        next.attributes.append((type, value))
        return next
    }

    /// Lets `body` hand the attributes to the library.
    func withAttributes<Result>(
        _ body: (UnsafeMutablePointer<CK_ATTRIBUTE>?, CK_ULONG) -> Result
    ) -> Result {
        // Values begin at multiples of eight: libraries read numbers in place.
        var starts: [Int] = []
        var bytes: [UInt8] = []
        for attribute in attributes {
            starts.append(bytes.count)
            bytes += attribute.value
            bytes += repeatElement(0, count: (8 - bytes.count % 8) % 8)
        }
        return unsafe bytes.withUnsafeMutableBytes { bytes in
            var list = unsafe zip(attributes, starts).map { attribute, start in
                unsafe CK_ATTRIBUTE(
                    type: attribute.type, pValue: bytes.baseAddress.map { unsafe $0 + start },
                    ulValueLen: CK_ULONG(attribute.value.count))
            }
            return unsafe list.withUnsafeMutableBufferPointer {
                unsafe body($0.baseAddress, CK_ULONG($0.count))
            }
        }
    }
}
