"""Where artifacts, package trees and layers live."""
