// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// What a ciphertext of a keyring shows without any key, whether it opens or not (KMS: `KeyId` and
/// `KeyMaterialId` of an answer).
public struct CiphertextDescription: Hashable, Sendable {
    /// The customer key that made it.
    public let keyID: KeyID
    /// The version of the key's material that made it, from 1.
    public let version: UInt32
    /// Names the material: 64 hexadecimal digits, the same for every ciphertext of it, and no other
    /// material's. Tells nothing of the material.
    public let materialID: String

    init(_ address: WrappedKey.Address) {
        keyID = KeyID(uuid: address.keyID)
        version = address.materialVersion
        var hash = SHA256()
        hash.update(Array("cairn key material 1\0".utf8).span)
        hash.update(address.keyringID.bytes.span)
        hash.update(address.keyID.bytes.span)
        var writer = ByteWriter(capacity: 4)
        writer.append(version)
        hash.update(writer.bytes.span)
        materialID = hash.finalized().span.hex
    }
}

extension Keyring {
    /// What a ciphertext of this keyring shows.
    ///
    /// - Throws: ``KeyError`` with code `integrity` or `unsupportedVersion` (no ciphertext of a
    ///   keyring), `keyNotFound` (of another keyring, or the key is gone).
    public func describeCiphertext(
        _ wrapped: [UInt8]
    ) throws(KeyError) -> CiphertextDescription {
        CiphertextDescription(try knownAddress(of: wrapped).address)
    }

    /// The customer key that a ciphertext of a keyring names, whether it opens or not.
    package static func keyID(of wrapped: [UInt8]) -> KeyID? {
        do throws(KeyError) {
            return KeyID(uuid: try WrappedKey.address(of: wrapped.span).keyID)
        } catch {
            return nil
        }
    }
}
