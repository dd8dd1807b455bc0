# SPDX-License-Identifier: Apache-2.0
"""A real gateway process between scripted clients and scripted backends."""
