// Part of Cairn, a content-addressed blob store.

extension Keyring {
    /// The customer key that a ciphertext of a keyring names, whether it opens or not.
    package static func keyID(of wrapped: [UInt8]) -> KeyID? {
        do throws(KeyError) {
            return KeyID(uuid: try WrappedKey.address(of: wrapped.span).keyID)
        } catch {
            return nil
        }
    }
}
