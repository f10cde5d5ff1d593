"""Quotes to prices: one service for each component of the conversion graph."""

from keeper.services.pricing.service import Boards, Folds, PricingService

__all__ = ["Boards", "Folds", "PricingService"]
