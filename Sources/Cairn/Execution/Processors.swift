// Part of Cairn, a content-addressed blob store.

internal import Glibc

/// The processors of the machine.
enum Processors {
    static var count: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
