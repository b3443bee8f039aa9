// Part of Cairn, a content-addressed blob store.
public import Cairn

// What clients have asked for and got.
extension Repository {
    /// Counts a request.
    public func countRequest(_ request: RequestKind) { bucket.countRequest(request) }

    /// Counts bytes that a client got.
    public func countTransfer(_ byteCount: UInt64, _ transfer: TransferClass) {
        bucket.countTransfer(byteCount, transfer)
    }

    /// Fails when the month's allowance for transfers is used up.
    ///
    /// - Throws: `allowanceExceeded`.
    public func checkTransfer(_ transfer: TransferClass) async throws(RegistryError) {
        do throws(StoreError) { try await bucket.checkTransfer(transfer) } catch {
            throw RegistryError(store: error)
        }
    }
}
