"""asyncio tools that know nothing of perps."""
